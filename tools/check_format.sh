#!/bin/sh
# Fails when a tracked C++ file is not formatted as .clang-format says, or a Python file cannot be parsed (no arguments).
# To format: git ls-files '*.h' '*.cc' | xargs clang-format -i
set -eu
cd "$(dirname "$0")/.."
git ls-files -z '*.h' '*.cc' | xargs -0 -r clang-format --dry-run -Werror
git ls-files -z '*.py' | xargs -0 -r python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'
