#!/usr/bin/env bash
# generate --save-cache and --load-cache: the same text, other models' caches. Usage: prompt_cache.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
model=$(realpath "$2")/demo/llm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "prompt_cache: $*"; exit 1; }
ids() { tr -d ' \n' < "$1" | grep -o '"ids":\[[0-9,]*\]'; }

head -c 600 "$model/heldout.txt" > prompt.txt
flags=("$model" --recipe w4a8kv4-stamp --greedy --max-new-tokens 12 --json)
"$program" generate "${flags[@]}" --prompt-file prompt.txt --save-cache prompt.cache > first.json
"$program" generate "${flags[@]}" --load-cache prompt.cache > second.json
"$program" generate "${flags[@]}" --prompt-file prompt.txt --load-cache prompt.cache > third.json
[[ -n $(ids first.json) && "$(ids first.json)" == "$(ids second.json)" && "$(ids second.json)" == "$(ids third.json)" ]] ||
  fail "other tokens: $(ids first.json) $(ids second.json) $(ids third.json)"
grep -q '"reused": 0' first.json || fail "reused without a cache"
grep -q '"reused": 0' second.json && fail "nothing is reused"
[[ $(ls) == $'first.json\nprompt.cache\nprompt.txt\nsecond.json\nthird.json' ]] || fail "other files: $(ls)"

code=0
"$program" generate "$model" --recipe w4a8kv4 --load-cache prompt.cache > out.txt 2> err.txt || code=$?
[[ $code == 1 && ! -s out.txt ]] && grep -q "another recipe" err.txt || fail "another recipe: $code $(cat err.txt)"
truncate -s -1000 prompt.cache
code=0
"$program" generate "${flags[@]}" --load-cache prompt.cache > out.txt 2> err.txt || code=$?
[[ $code == 1 && ! -s out.txt ]] && grep -q "prompt.cache" err.txt || fail "a damaged file: $code $(cat err.txt)"
echo "all as expected"
