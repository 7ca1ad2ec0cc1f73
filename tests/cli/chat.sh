#!/usr/bin/env bash
# Conversations from scripts: flags, standard input, the kept cache, missing templates. Usage: chat.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "chat: $*"; exit 1; }
count() { grep -o "\"$1\": [0-9a-z]*" "$2" | sed -n "$3p" | cut -d' ' -f2; }

cp "$source_dir"/demo/llm/*.json .
ln -s "$source_dir/demo/llm/model.safetensors" model.safetensors
code=0
"$program" chat . --message Hello 2> err.txt || code=$?
[[ $code == 1 ]] && grep -q "expected a chat template" err.txt || fail "no template: $(cat err.txt)"

cp "$source_dir/tests/data/chat/plain.jinja" chat_template.jinja
flags=(--max-new-tokens 6 --greedy --system "Be brief.")
"$program" chat . "${flags[@]}" --message "Hello" --message "Tell me more" --json > flags.json 2> err.txt
[[ $(count kept flags.json 1) == 0 ]] || fail "the first message finds tokens in the cache"
(($(count kept flags.json 2) == $(count prefilled flags.json 1) + $(count generated flags.json 1) - 1)) ||
  fail "the second message does not keep the cache: $(cat flags.json)"

printf 'Hello\n\nTell me more\n' | "$program" chat . "${flags[@]}" --json > lines.json 2> err.txt
cmp -s flags.json lines.json || fail "lines of standard input are answered otherwise than --message"
printf 'Hello\n/reset\nHello\n/exit\nHello\n' | "$program" chat . "${flags[@]}" > text.txt 2> err.txt
[[ $(wc -l < text.txt) -ge 2 ]] || fail "two answers expected: $(cat text.txt)"
printf 'Hello\nHello\n' | "$program" chat . "${flags[@]}" --context 30 > text.txt 2> err.txt && fail "30 tokens suffice"
grep -q -- "--context" err.txt || fail "a full conversation: $(cat err.txt)"
echo '{% if %}' > chat_template.jinja
"$program" chat . --message Hello 2> err.txt && fail "a broken template works"
grep -q "chat_template: line 1" err.txt || fail "a broken template: $(cat err.txt)"
echo "all as expected"
