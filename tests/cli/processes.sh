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

# Errors that all of them see; commands that run alone say so.
code=0
mpirun -n 2 "$program" eval "$model" --text "$text" --context 1 > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "^stamp: windows: expected a context" err.txt || fail "$code: $(cat err.txt)"
code=0
mpirun -n 2 "$program" info "$model" > out.txt 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "info: runs as one process" err.txt || fail "info: $code, $(cat err.txt)"
