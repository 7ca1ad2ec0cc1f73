#!/usr/bin/env bash
# Runs `stamp serve` under malformed and slow traffic, its page in a browser, then the official openai client and schemathesis
# in an environment of their own. Usage: test_server.sh BUILD
set -euo pipefail
build=$1
python=${PYTHON:-python3}
environment=$build/server-venv
log=$build/server-test.log
server=
trap '[[ -z $server ]] || kill $server 2>/dev/null || true' EXIT

# Sets `server` and `url`. Arguments: how many files it may open ("" for no other limit).
start() {
  url=
  (
    [[ -z $1 ]] || ulimit -n "$1"
    exec "$build/stamp" serve demo/llm --model-name demo --port 0 --chat-template tests/data/chat/plain.jinja \
      --images tests/data/oracles/pipe/pixart_words/ckpt --max-tokens 64
  ) > "$log" &
  server=$!
  for _ in $(seq 300); do
    url=$(grep -om1 'http://[0-9.:]*' "$log" || true)
    [[ -z $url ]] || return 0
    sleep 0.2
  done
  echo "the server did not start"
  cat "$log"
  exit 1
}

stop() {
  kill -TERM $server
  wait $server
  server=
  echo "== the server ended in good order"
}

start ""
echo "== malformed requests"
"$python" tests/server/malformed_requests.py "$url" demo "$server" --requests "${MALFORMED:-10000}"
echo "== slow connections"
"$python" tests/server/slow_connections.py "$url" demo --connections 500 --read-timeout 30
echo "== the page in a browser"
"$python" tests/server/page_test.py "$url"
stop
start 64
echo "== slow connections, more than the server may open files"
"$python" tests/server/slow_connections.py "$url" demo --connections 100 --seconds 10
stop

[[ -x $environment/bin/python ]] || "$python" -m venv "$environment"
if ! "$environment/bin/pip" install -q --disable-pip-version-check openai schemathesis; then
  echo "== openai client and schemathesis not run: pip could not install them"
  exit 0
fi
start ""
"$environment/bin/python" tests/server/openai_client.py "$url" demo
"$environment/bin/schemathesis" --config-file tests/server/schemathesis.toml run "$url/openapi.json" --url "$url" \
  --max-examples "${EXAMPLES:-40}" --phases examples,coverage,fuzzing --request-timeout 60
stop
