#!/usr/bin/env bash
# Wrong usage and broken files: exit codes and one clear line. Usage: errors.sh PROGRAM SOURCE_DIR
set -uo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
failures=0

# expect CODE PATTERN arguments...
expect() {
  local code=$1 pattern=$2
  shift 2
  "$program" "$@" > out.txt 2> err.txt
  local got=$?
  if [[ $got != "$code" ]] || ! grep -q -- "$pattern" out.txt err.txt; then
    echo "stamp $*: expected exit $code and '$pattern', got $got:"
    cat out.txt err.txt
    failures=$((failures + 1))
  fi
}

model=$source_dir/demo/llm
text=$model/heldout.txt
expect 0 "stamp" --help
expect 0 "^0\." --version
expect 2 "subcommand" 
expect 2 "frobnicate" frobnicate
expect 2 "MODEL" eval
expect 2 "does not exist" eval nowhere --text "$text"
expect 2 "w9a9" eval "$model" --text "$text" --recipe w9a9
expect 2 "too few" eval "$model" --text "$text" --context 10000000
expect 2 "is the evaluated text" eval "$model" --text "$text" --context 256 --windows 1 --recipe w4a4kv4-stamp-wf --calibration "$text"
expect 2 "form w4a4kv4" compare "$model" --text "$text" --bits q4
expect 2 "is for image pipelines" compare "$model" --text "$text" --clip "$model"
mkdir broken
cp "$model"/*.json broken/
expect 1 "model.safetensors" eval broken --text "$text"
head -c 1000 "$model/model.safetensors" > broken/model.safetensors
expect 1 "broken/model.safetensors" eval broken --text "$text"
echo '{' > broken/config.json
expect 1 "config.json" eval broken --text "$text"
mkdir empty
expect 1 "empty" verify empty
echo '{"schema": 1, "wieghts": {}}' > recipe.json
expect 2 "wieghts" recipe recipe.json
expect 2 "nothing to store" quantize "$model" --recipe bf16 --out stored
expect 2 "--out is required" quantize "$model" --recipe w4a8kv8
expect 2 "empty: exists; --force" quantize "$model" --recipe w4a8kv8 --out empty
expect 1 "cannot create the folder" quantize "$model" --recipe w4a8kv8 --out nowhere/stored
expect 1 "broken/config.json" quantize broken --recipe w4a8kv8 --out stored
[[ ! -e stored && ! -e stored.partial ]] || { echo "a refused command left something behind"; exit 1; }
((failures == 0)) || exit 1
echo "all as expected"
