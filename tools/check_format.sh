#!/bin/sh
# Fails when a tracked C++ file is not formatted as .clang-format says (no arguments).
# To format: git ls-files '*.h' '*.cc' | xargs clang-format -i
set -eu
cd "$(dirname "$0")/.."
git ls-files -z '*.h' '*.cc' | xargs -0 -r clang-format --dry-run -Werror
