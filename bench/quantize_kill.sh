#!/usr/bin/env bash
# Kills `stamp quantize` at random moments, resumes it, and compares the result with an undisturbed run.
# Usage: quantize_kill.sh STAMP MODEL RECIPE WORK_FOLDER [KILLS=5]
set -euo pipefail
stamp=$(realpath "$1") model=$(realpath "$2") recipe=$3 work=$4 kills=${5:-5}
mkdir -p "$work"
cd "$work"
rm -rf whole broken broken.partial

digests() { (cd "$1" && sha256sum -- $(ls | grep -v '^manifest.json$')); }

start=$(date +%s.%N)
"$stamp" quantize "$model" --recipe "$recipe" --out whole > /dev/null
seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
echo "undisturbed: $seconds s, $(du -sm whole | cut -f1) MB"
digests whole > whole.sha256

for ((i = 1; i <= kills; ++i)); do
  pause=$(awk -v t="$seconds" -v n="$kills" -v r="$RANDOM" 'BEGIN { print 0.05 + 1.2 * t / n * r / 32768 }')
  "$stamp" quantize "$model" --recipe "$recipe" --out broken > /dev/null 2>&1 &
  child=$!
  sleep "$pause"
  if ! kill -9 "$child" 2>/dev/null; then echo "kill $i: had ended by itself"; fi
  wait "$child" 2>/dev/null || true
  [[ ! -e broken ]] || { echo "it ended before kill $i"; break; }
  echo "kill $i after $pause s: $(ls broken.partial/content 2>/dev/null | grep -c '\.safetensors$' || true) files"
done
[[ -e broken ]] || "$stamp" quantize "$model" --recipe "$recipe" --out broken
digests broken > broken.sha256
cmp whole.sha256 broken.sha256
[[ ! -e broken.partial ]]
echo "identical: $(wc -l < whole.sha256) files"
rm -rf whole broken
