#!/usr/bin/env bash
# Pictures from prompts: files, metadata, seeds, batches, one clear error for everything bad. Usage: image.sh PROGRAM
# SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
pipeline=$2/tests/data/oracles/pipe/pixart_words/ckpt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "image: $*"; exit 1; }
draw() { "$program" image "$pipeline" "$@"; }
small=(--steps 2 --size 16x24)
# refuse CODE PART FLAGS...: fails with CODE and one line that holds PART
refuse() {
  local want=$1 part=$2 code=0
  shift 2
  draw "$@" > out.txt 2> err.txt || code=$?
  [[ $code == "$want" ]] || fail "expected exit code $want of '$*', got $code: $(cat err.txt)"
  grep -q -- "$part" err.txt || fail "expected '$part' of '$*', got: $(cat err.txt)"
  [[ $(grep -c "^stamp:" err.txt) == 1 ]] || fail "expected one line of '$*', got: $(cat err.txt)"
}

draw "${small[@]}" --prompt "a red ball" --seed 3 --out a.png 2> err.txt > out.txt
[[ $(cat out.txt) == a.png && -s a.png ]] || fail "a.png is not there"
grep -q "memory about" err.txt || fail "no word about memory: $(cat err.txt)"
grep -aq "a red ball" a.png || fail "the prompt is not in the picture's metadata"
draw "${small[@]}" --prompt "a red ball" --seed 3 --out b.png > out.txt 2>&1
cmp -s a.png b.png || fail "the same seed draws another picture"
for execution in integer simulated; do
  draw "${small[@]}" --prompt "a red ball" --recipe image-w4a4-stamp --execution $execution --out $execution.png \
    > out.txt 2> $execution.txt
done
grep -q "note: recipe image-w4a4-stamp ran simulated" simulated.txt || fail "no word about simulation: $(cat simulated.txt)"
grep -q "simulated" integer.txt && fail "integers are called simulated: $(cat integer.txt)"
draw "${small[@]}" --prompt "a red ball" --seed 4 --out c.png > out.txt 2>&1
cmp -s a.png c.png && fail "another seed draws the same picture"
draw --size 16x24 --steps 3 --prompt "a red ball" --preview 1 --out p.png > out.txt 2>&1
[[ -s p.png && -s p-preview.png ]] || fail "expected a preview: $(ls)"
printf 'a red ball\r\n\nball\n' > prompts.txt
draw "${small[@]}" --prompts prompts.txt --out d.jpg > out.txt 2>&1
[[ -s d-0001.jpg && -s d-0002.jpg && ! -e d-0003.jpg ]] || fail "expected two pictures: $(ls)"
draw "${small[@]}" --prompt x --dry-run --out e.png > out.txt 2>&1
[[ ! -e e.png ]] || fail "--dry-run draws"

clip=$2/tests/data/oracles/clip/old_eos/ckpt
"$program" compare "$pipeline" --prompts prompts.txt "${small[@]}" --recipes bf16 --teacher-prompts 0 --clip "$clip" \
  --json-out clip.json --out clip.html > out.txt 2> err.txt || fail "compare --clip: $(cat err.txt)"
grep -q "^unquantized .*[0-9]$" out.txt || fail "no scores of the unquantized model: $(cat out.txt)"
grep -q "(+0.00) .*(+0.000)" out.txt || fail "bf16 differs from itself: $(cat out.txt)"
grep -q '"score_change": 0' clip.json || fail "no CLIP score in the JSON"
grep -q "CLIP-IQA" clip.html || fail "no CLIP-IQA in the report"
"$program" compare "$pipeline" --prompts prompts.txt "${small[@]}" --recipes bf16 --clip "$pipeline" \
  > out.txt 2> err.txt && fail "takes a pipeline for a CLIP directory"
[[ $(grep -c "^stamp:.*config.json" err.txt) == 1 ]] || fail "expected one line about config.json, got: $(cat err.txt)"

refuse 2 "pass --prompt" --out x.png
refuse 2 "x.bmp" --prompt a --out x.bmp
refuse 1 "there is no folder" --prompt a --out no/x.png
refuse 2 "width" --prompt a --size 15x24 --out x.png
refuse 2 "--size" --prompt a --size big --out x.png
refuse 2 "steps" --prompt a --steps 100000 --out x.png
refuse 2 "previews" --prompt a --preview -1 --out x.png
refuse 2 "UTF-8" --prompt $'\xff' --out x.png
refuse 2 "neither a file nor a preset" --prompt a --recipe nothing --out x.png
pipeline=$work/none
refuse 1 "no such folder" --prompt a --out x.png
pipeline=$2/demo/llm
refuse 1 "model_index.json" --prompt a --out x.png
[[ ! -e x.png ]] || fail "a refused run leaves a picture"
echo "all as expected"
