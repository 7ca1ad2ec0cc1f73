#!/usr/bin/env bash
# Builds the Python module in the build folder and runs its tests in an environment of its own.
# Usage: test_python.sh BUILD
set -euo pipefail
build=$1
python=${PYTHON:-python3}
environment=$build/python-venv
[[ -x $environment/bin/python ]] || "$python" -m venv "$environment"
if ! "$environment/bin/pip" install -q --disable-pip-version-check nanobind numpy pytest tqdm; then
  echo "== Python tests not run: pip could not install nanobind, numpy, pytest and tqdm"
  exit 0
fi
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake -S . -B "$build" -G Ninja "${launcher[@]}" -DSTAMP_PYTHON=ON \
  -DPython_EXECUTABLE="$(realpath -s "$environment/bin/python")" >/dev/null
cmake --build "$build" --target native_stub
# -V shows what pytest leaves out, and why.
ctest --test-dir "$build" -V --no-tests=error -R '^python$'
