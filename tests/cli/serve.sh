#!/usr/bin/env bash
# The server as a program: what it prints, that it answers, and how signals end it. Usage: serve.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill -9 $server 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
fail() { echo "serve: $*"; exit 1; }

"$program" serve "$source_dir/demo/llm" --port 0 --recipe w4a4kv4-stamp > out.txt 2> err.txt &
server=$!
for _ in $(seq 600); do
  grep -q "no chat template" out.txt && break
  kill -0 $server 2>/dev/null || fail "ended: $(cat err.txt)"
  sleep 0.1
done
grep -q "model llm, recipe w4a4kv4-stamp" out.txt || fail "does not say what it serves: $(cat out.txt)"
port=$(sed -n 's|^http://127.0.0.1:||p' out.txt)

body='{"model": "llm", "prompt": "The kernel", "max_tokens": 5}'
python3 - "$port" "$body" > answer.json << 'PYTHON' || fail "no answer"
import sys, urllib.request
url = f"http://127.0.0.1:{sys.argv[1]}/v1/completions"
print(urllib.request.urlopen(urllib.request.Request(url, sys.argv[2].encode(), {"Content-Type": "application/json"})).read().decode())
PYTHON
grep -q '"completion_tokens":' answer.json || fail "answered $(cat answer.json)"
kill -TERM $server
code=0
wait $server || code=$?
server=
[[ $code == 0 ]] || fail "SIGTERM: exit code $code, $(cat err.txt)"

code=0
"$program" serve "$source_dir/demo/llm" --host nowhere 2> err.txt || code=$?
[[ $code == 1 ]] && grep -q "expected an IP address" err.txt || fail "wrong host: $code, $(cat err.txt)"
code=0
"$program" serve "$source_dir/demo/llm" --port 99999 2> err.txt || code=$?
[[ $code == 2 ]] && grep -q "port: expected 0 to 65535" err.txt || fail "wrong port: $code, $(cat err.txt)"
echo "all as expected"
