#!/usr/bin/env bash
# Runs `stamp serve` against the official openai client and schemathesis, in an environment of its own.
# Usage: test_server.sh BUILD
set -euo pipefail
build=$1
python=${PYTHON:-python3}
environment=$build/server-venv
[[ -x $environment/bin/python ]] || "$python" -m venv "$environment"
if ! "$environment/bin/pip" install -q --disable-pip-version-check openai schemathesis; then
  echo "== server tests not run: pip could not install openai and schemathesis"
  exit 0
fi
log=$build/server-test.log
"$build/stamp" serve demo/llm --model-name demo --port 0 --chat-template tests/data/chat/plain.jinja \
  --images tests/data/oracles/pipe/pixart_words/ckpt --max-tokens 64 > "$log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  url=$(grep -om1 'http://[0-9.:]*' "$log" || true)
  [[ -n $url ]] && break
  sleep 0.2
done
[[ -n $url ]] || { echo "the server did not start"; cat "$log"; exit 1; }
"$environment/bin/python" tests/server/openai_client.py "$url" demo
"$environment/bin/schemathesis" --config-file tests/server/schemathesis.toml run "$url/openapi.json" --url "$url" \
  --max-examples "${EXAMPLES:-40}" --phases examples,coverage,fuzzing --request-timeout 60
kill -TERM $server
wait $server
echo "== the server ended in good order"
