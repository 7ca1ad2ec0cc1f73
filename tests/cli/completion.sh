#!/usr/bin/env bash
# Completion scripts complete, and the manual page is one. Usage: completion.sh PROGRAM SOURCE_DIR
set -euo pipefail
program=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "completion: $*"; exit 1; }

"$program" completion bash > stamp.bash
source ./stamp.bash
# complete WORDS...: what the last word may become, in $replies
complete_words() {
  COMP_WORDS=(stamp "$@")
  COMP_CWORD=$#
  _stamp
  replies=" ${COMPREPLY[*]} "
}
complete_words ev
[[ $replies == " eval " ]] || fail "commands: '$replies'"
complete_words eval --rec
[[ $replies == *" --recipe "* ]] || fail "flags: '$replies'"
complete_words eval --recipe w4a4kv4-s
[[ $replies == *" w4a4kv4-stamp "* ]] || fail "presets: '$replies'"
complete_words eval --execution s
[[ $replies == " simulated " ]] || fail "values: '$replies'"
complete_words image x --prev
[[ $replies == " --preview " ]] || fail "flags of image: '$replies'"
for command in $("$program" --help | sed -n '/^Subcommands/,$s/^  \([a-z]*\) .*/\1/p'); do
  complete_words "$command" --hel
  [[ $replies == *" --help "* ]] || fail "$command is missing"
done

for shell in zsh fish; do
  "$program" completion $shell > "stamp.$shell"
  if command -v $shell > /dev/null; then
    $shell -n "stamp.$shell" || fail "$shell does not read its script"
  else
    echo "$shell is not installed: its script is not read here"
  fi
  grep -q -- preview "stamp.$shell" || fail "$shell: no --preview"
done

"$program" completion man > stamp.1
if command -v man > /dev/null; then
  man --warnings=w -l stamp.1 > page.txt 2> warnings.txt
  [[ ! -s warnings.txt ]] || fail "man: $(head -3 warnings.txt)"
  grep -q -- "--average-bits" page.txt || fail "the manual page lacks flags"
else
  echo "man is not installed: the page is not formatted here"
fi
grep -q "^.SH NAME" stamp.1 || fail "no manual page"
"$program" completion tcsh 2> err.txt && fail "tcsh is taken"
grep -q "bash" err.txt || fail "tcsh: $(cat err.txt)"
echo "all as expected"
