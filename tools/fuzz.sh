#!/usr/bin/env bash
# Fuzzes readers with the programs of a fuzz build (make fuzz); prints what each ran, and whether an input was a finding.
#   tools/fuzz.sh BUILD RUNS [TARGET]   RUNS inputs for TARGET (all of them)
# What libFuzzer finds interesting is kept in BUILD/corpus/TARGET and used again; inputs that end a target are written to
# BUILD/findings/TARGET-*.
set -euo pipefail
build=$(realpath "$1") runs=$2 only=${3:-}
cd "$(dirname "$0")/.."

# Limits: 60 s for one input (under sanitizers, on a busy machine), 512 MB in one allocation.
limits=(-timeout=60 -report_slow_units=10 -malloc_limit_mb=512 -rss_limit_mb=3000)
# Twice the inputs per second; a finding run again without them is told with the stacks of its allocations.
export ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=4:detect_stack_use_after_return=0
export OMP_NUM_THREADS=1  # an input is too little work to share
[[ -n ${TMPDIR:-} || ! -w /dev/shm ]] || export TMPDIR=/dev/shm  # inputs of readers that take files

fuzz() {  # TARGET MAX_BYTES FOLDER...
  local target=$1 max_bytes=$2 log=$build/fuzz_$1.log
  shift 2
  local corpus=$build/corpus/$target dictionary=tests/fuzz/dictionaries/$target.dict options=()
  mkdir -p "$corpus" "$build/findings"
  for folder in tests/fuzz/seeds/$target tests/fuzz/regressions/$target "$@"; do
    [[ -d $folder ]] && options+=("$folder")
  done
  [[ -f $dictionary ]] && options+=("-dict=$dictionary")
  local begin=$SECONDS result="no finding"
  "$build/fuzz_$target" "$corpus" "${options[@]}" "${limits[@]}" -runs="$runs" -max_len="$max_bytes" \
    -artifact_prefix="$build/findings/$target-" -print_final_stats=1 >"$log" 2>&1 || result="FINDING, see $log"
  local count
  count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '| %s | %s | %s | %s | `make fuzz TARGET=%s RUNS=%s` |\n' "$target" "${count:-?}" $((SECONDS - begin)) "$result" \
    "$target" "$runs"
  [[ $result == "no finding" ]]
}

status=0
echo "| target | inputs | seconds | result | command |"
while read -r target max_bytes folders; do
  [[ -z $only || $only == "$target" ]] || continue
  # shellcheck disable=SC2086  # a list of folders
  fuzz "$target" "$max_bytes" $folders || status=1
done <"$build/fuzz_targets.txt"
exit $status
