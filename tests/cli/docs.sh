#!/usr/bin/env bash
# Runs every command of the shell blocks in docs/cli.md. Usage: docs.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
source_dir=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$source_dir/demo" "$work/demo"
ln -s "$source_dir/tests" "$work/tests"
ln -s "$program" "$work/stamp"
cd "$work"
count=0
while IFS= read -r line; do
  echo "+ $line"
  PATH="$work:$PATH" bash -c "$line" > output.txt || { cat output.txt; echo "failed: $line"; exit 1; }
  [[ -s output.txt ]] || { echo "printed nothing: $line"; exit 1; }
  count=$((count + 1))
done < <(sed -n '/^```sh$/,/^```$/p' "$source_dir/docs/cli.md" | grep '^stamp ')
((count >= 8)) || { echo "only $count commands found in docs/cli.md"; exit 1; }
[[ -s report.html ]] || { echo "compare wrote no report"; exit 1; }
echo "$count commands ran"
