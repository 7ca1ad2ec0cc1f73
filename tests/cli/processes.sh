#!/usr/bin/env bash
# Jobs of several processes (mpirun): the same bits as one process, and what happens when one is lost. Usage: processes.sh
# PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
if ! command -v mpirun > /dev/null || [[ ! -e $(dirname "$program")/stamp_mpi.so ]]; then
  echo "processes: skipped: no mpirun (openmpi-bin), or built without MPI (libopenmpi-dev)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "processes: $*"; exit 1; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0 OMP_WAIT_POLICY=passive
export OMPI_MCA_hwloc_base_binding_policy=none  # tests run side by side
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0  # Open MPI frees little at its end
model=$source_dir/demo/llm
text=$model/heldout.txt

cat > same.py << 'PYTHON'
import json, sys
TIMES = {"seconds", "seconds_per_step", "reference_seconds_per_step", "tokens_per_second", "peak_rss_bytes", "machine"}
def figures(value):
    if isinstance(value, dict):
        return {key: figures(item) for key, item in value.items() if key not in TIMES}
    return [figures(item) for item in value] if isinstance(value, list) else value
one, several = (figures(json.load(open(name))) for name in sys.argv[1:])
sys.exit(one != several)
PYTHON
# same PROCESSES COMMAND...: with --json, the same figures to the last bit
same() {
  local processes=$1
  shift
  "$program" "$@" --threads 1 --json > one.json 2> err.txt || fail "$*: $(cat err.txt)"
  mpirun -n "$processes" "$program" "$@" --threads 1 --json > several.json 2> err.txt || fail "$processes x $*: $(cat err.txt)"
  python3 same.py one.json several.json || fail "$processes processes: other figures than one of: $*"
}

same 2 eval "$model" --text "$text" --recipe w4a4kv4-stamp --windows 5 --context 128
same 3 eval "$model" --text "$text" --recipe kv4 --windows 2 --context 128
same 2 eval "$model" --task "$model/cloze.jsonl" --limit 7 --recipe w4a4kv4-stamp
same 2 sensitivity "$model" --text "$text" --recipe w4a4kv4-stamp --windows 2 --context 64
same 2 compare "$model" --text "$text" --windows 3 --context 64 --feature none --sequence none,haar
printf 'a red ball\nball\na ball\n' > prompts.txt
same 2 compare "$source_dir/tests/data/oracles/pipe/pixart_words/ckpt" --prompts prompts.txt --steps 2 --size 16x24 \
  --recipes image-w4a4-stamp --teacher-prompts 2

"$program" quantize "$model" --recipe w4a4kv4-stamp --out one > out.txt 2>&1 || fail "quantize: $(cat out.txt)"
mpirun -n 3 "$program" quantize "$model" --recipe w4a4kv4-stamp --out several > out.txt 2>&1 ||
  fail "quantize: $(cat out.txt)"
diff -r -x manifest.json one several ||  # that says by which command
  fail "quantize: three processes wrote other files than one"

# Codes that depend on a text, whose seven windows three processes share.
"$program" recipe w4a4kv4-stamp | sed '/^  "weights"/,$ s/"rtn"/"gptq"/' > gptq.json
head -c 32000 "$model/calibration.txt" > calibration.txt
job=(quantize "$model" --recipe gptq.json --calibration calibration.txt --threads 1)
"$program" "${job[@]}" --out one-gptq > out.txt 2>&1 || fail "gptq: $(cat out.txt)"
mpirun -n 3 "$program" "${job[@]}" --out several-gptq > out.txt 2>&1 || fail "gptq: $(cat out.txt)"
diff -r -x manifest.json one-gptq several-gptq || fail "gptq: three processes wrote other files than one"
! diff -rq -x manifest.json one one-gptq > /dev/null || fail "gptq: the codes of rounding"
same 2 eval "$model" --text "$text" --recipe gptq.json --calibration calibration.txt --windows 2 --context 128

# A process that dies ends the job; what was finished is kept, and the same command goes on.
mpirun -n 2 "$program" quantize "$model" --recipe w4a4kv4-stamp --out lost > out.txt 2> err.txt &
job=$!
until grep -q sha256 lost.partial/journal.json 2> /dev/null; do
  kill -0 $job 2> /dev/null || fail "ended before a process could be lost: $(cat err.txt)"
  sleep 0.01
done
pkill -9 -n -f "^$program quantize .* --out lost" || fail "no process to lose"
code=0
wait $job || code=$?
[[ $code != 0 ]] || fail "a lost process: exit code 0"
grep -q "exited on signal 9" err.txt || fail "a lost process: $(cat err.txt)"
[[ -e lost.partial && ! -e lost ]] || fail "a lost process left a directory that looks finished"
mpirun -n 2 "$program" quantize "$model" --recipe w4a4kv4-stamp --out lost > out.txt 2>&1 || fail "$(cat out.txt)"
grep -q "finished by an earlier run" out.txt || fail "started over: $(cat out.txt)"
diff -r -x manifest.json one lost || fail "resumed: other files"

# One model in several processes: heads and channels, or layers.
cat > close.py << 'PYTHON'
import json, sys
one, several = (json.load(open(name))["all_tokens"] for name in sys.argv[1:3])
tolerance = float(sys.argv[3])
for key in ("perplexity", "kl_mean"):
    if abs(several[key] - one[key]) > tolerance * abs(one[key]):
        sys.exit(f"{key}: {one[key]} in one process, {several[key]} in several")
PYTHON
# close TOLERANCE PROCESSES RECIPE FLAGS...
close() {
  local tolerance=$1 processes=$2 recipe=$3
  shift 3
  local job=(eval "$model" --text "$text" --recipe "$recipe" --windows 3 --context 256 --threads 1 --json)
  "$program" "${job[@]}" > one.json 2> err.txt || fail "${job[*]}: $(cat err.txt)"
  mpirun -n "$processes" "$program" "${job[@]}" "$@" > several.json 2> err.txt || fail "${job[*]} $*: $(cat err.txt)"
  python3 close.py one.json several.json "$tolerance" || fail "$recipe $*"
}
# A recipe whose rotations two processes can share: in both, the same.
for recipe in w4a4kv4-stamp paper-quarot; do
  "$program" recipe $recipe | sed 's/"rotation_parts": 1/"rotation_parts": 2/; s/"gptq"/"rtn"/' > $recipe-2.json
done
close 1e-6 2 bf16 --split tensor
close 0.05 2 w4a4kv4-stamp-2.json --split tensor  # in so few tokens one code that rounds the other way shows
close 0.05 2 paper-quarot-2.json --split tensor
close 0 3 w4a4kv4-stamp --split pipeline
close 0.05 2 w4a4kv4-stamp --split pipeline --link-bits 8
for split in tensor pipeline; do
  story=(generate "$model" --prompt "Once upon a time" --greedy --max-new-tokens 12 --threads 1)
  "$program" "${story[@]}" > one.txt 2> err.txt || fail "generate: $(cat err.txt)"
  mpirun -n 2 "$program" "${story[@]}" --split $split > several.txt 2> err.txt || fail "generate --split $split: $(cat err.txt)"
  cmp -s one.txt several.txt || fail "generate --split $split wrote '$(cat several.txt)', expected '$(cat one.txt)'"
done
# A benchmark of it: seconds of the first process, whatever they are.
for split in "tensor --recipe w4a4kv4-stamp" "pipeline --link-bits 8"; do
  # shellcheck disable=SC2086  # several words
  mpirun -n 2 "$program" bench --shape tiny --prefill 64 --decode 2 --runs 1 --threads 1 --split $split > out.txt 2> err.txt ||
    fail "bench --split $split: $(cat err.txt)"
  [[ $(grep -c "of 2 processes" out.txt) == 1 ]] && grep -q "exchange [0-9.]* %" out.txt ||
    fail "bench --split $split: $(cat out.txt)"
done
code=0
mpirun -n 2 "$program" bench --linear > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "in one process, not in 2" err.txt || fail "bench --linear: $code, $(cat err.txt)"
code=0
mpirun -n 4 "$program" generate "$model" --prompt a > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "4 processes cannot share 6 heads" err.txt || fail "4 processes: $code, $(cat err.txt)"

# What is stored for several processes; a pipeline with as many stages as layers; more are refused.
check=$(dirname "$program")/check_split
mpirun -n 2 "$check" "$model" bf16 tensor 24 4 > out.txt 2> err.txt || fail "check_split: $(cat out.txt err.txt)"
grep -q "4 of 4 generated tokens are the same" out.txt || fail "check_split: $(cat out.txt)"
"$program" quantize "$model" --recipe w4a4kv4-stamp-2.json --out parts > out.txt 2>&1 || fail "rotation_parts: $(cat out.txt)"
story=(generate parts --prompt "Once upon a time" --greedy --max-new-tokens 6 --threads 1)
"$program" "${story[@]}" > one.txt 2> err.txt || fail "generate: $(cat err.txt)"
mpirun -n 2 "$program" "${story[@]}" > several.txt 2> err.txt || fail "stored codes, split: $(cat err.txt)"
cmp -s one.txt several.txt || fail "stored codes, split: '$(cat several.txt)' instead of '$(cat one.txt)'"
code=0
mpirun -n 2 "$program" generate one --prompt a > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "rotation_parts" err.txt || fail "codes of another basis: $code, $(cat err.txt)"

# Evaluation goes on where another job ended.
job=(eval "$model" --text "$text" --recipe w4a4kv4-stamp --windows 8 --context 128 --threads 1 --json)
"$program" "${job[@]}" > one.json 2> err.txt || fail "eval: $(cat err.txt)"
mpirun -n 2 "$program" "${job[@]}" --cache kept > several.json 2> err.txt &
job_id=$!
until [[ $(stat -c %s kept/scores-*.bin 2> /dev/null || echo 0) -gt 1000 ]]; do
  kill -0 $job_id 2> /dev/null || fail "ended before a process could be lost: $(cat err.txt)"
  sleep 0.01
done
pkill -9 -n -f "^$program eval .* --cache kept" || fail "no process to lose"
wait $job_id && fail "a lost process: exit code 0"
"$program" "${job[@]}" --cache kept > several.json 2> err.txt || fail "eval --cache: $(cat err.txt)"
python3 same.py one.json several.json || fail "eval --cache: other figures after a lost process"

# Errors that all of them see; commands that run alone say so.
code=0
mpirun -n 2 "$program" eval "$model" --text "$text" --context 1 > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "^stamp: windows: expected a context" err.txt || fail "$code: $(cat err.txt)"
code=0
mpirun -n 2 "$program" info "$model" > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "info: runs as one process" err.txt || fail "info: $code, $(cat err.txt)"
