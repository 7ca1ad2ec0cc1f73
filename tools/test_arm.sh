#!/usr/bin/env bash
# Builds the kernels for 64-bit ARM and runs their tests under qemu, as a processor with every extension and
# as one without dot products. Usage: tools/test_arm.sh [BUILD]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build-arm}
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake -S . -B "$build" -G Ninja --toolchain cmake/aarch64.cmake "${launcher[@]}" >/dev/null
cmake --build "$build" --target test_core test_kernels

# run PROCESSOR LAYER [FILTER]: skipped tests, those of instruction sets that the processor lacks, are only counted.
run() {
  echo "== test_$2 on $1"
  QEMU_CPU=$1 qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/test_$2" --gtest_brief=1 --gtest_filter="${3:-*}" |
    grep -vE '^(this processor has no|tests/.*Skipped|.*: Skipped$|$)'
}
for layer in core kernels; do
  run max "$layer"
done
run cortex-a53 kernels '*neon*:Kernels.*'
if QEMU_CPU=cortex-a53 STAMP_ISA=neon_dotprod qemu-aarch64 -L /usr/aarch64-linux-gnu "$build/test_kernels" \
  --gtest_brief=1 --gtest_filter='Kernels.*' >/dev/null 2>&1; then
  echo "test_arm: STAMP_ISA=neon_dotprod must be refused by a processor without it" >&2
  exit 1
fi
