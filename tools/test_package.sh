#!/usr/bin/env bash
# Makes the Debian package and uses it from an empty folder: the program, the bundled model, and a program of one's own
# that links the library. With a second argument the package is installed into a new Debian 12 made there by debootstrap
# (root, some hundred MB) and used inside. Usage: test_package.sh BUILD [FOLDER]
set -euo pipefail
build=$(realpath "$1")
root=${2:-}
fail() { echo "package: $*" >&2; exit 1; }
(cd "$build" && rm -f stamp_*.deb && cpack -G DEB > cpack.log 2>&1) || { tail -5 "$build/cpack.log" >&2; fail "cpack failed"; }
package=$(ls "$build"/stamp_*.deb)
echo "== $package: $(stat -c %s "$package") bytes"
dpkg-deb -I "$package" | grep -E "Depends|Suggests"

# use ROOT PREFIX...: everything that a user would try; PREFIX runs a command inside.
use() {
  local usr=$1
  shift
  "$@" "$usr/bin/stamp" --version
  "$@" "$usr/bin/stamp" eval "$usr/share/stamp/demo/llm" --text "$usr/share/stamp/demo/llm/heldout.txt" --context 256 --windows 2 \
    --recipe w4a4kv4-stamp | grep -i perplexity
}

if [[ -n $root ]]; then
  command -v debootstrap > /dev/null || fail "debootstrap is not installed"
  mkdir -p "$root"
  [[ -x $root/usr/bin/apt ]] || debootstrap --variant=minbase bookworm "$root" > "$build/debootstrap.log"
  cp "$package" "$root/tmp/stamp.deb"
  chroot "$root" apt-get install -y -qq --no-install-recommends /tmp/stamp.deb > /dev/null
  use /usr chroot "$root"
  echo "== installed and used in $root"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dpkg-deb -x "$package" "$work/root"
usr=$work/root/usr
for file in bin/stamp share/man/man1/stamp.1.gz share/bash-completion/completions/stamp \
  share/zsh/vendor-completions/_stamp share/fish/vendor_completions.d/stamp.fish include/stamp/models/model.h \
  share/stamp/demo/llm/config.json share/doc/stamp/LICENSE; do
  [[ -s $usr/$file ]] || fail "no $file"
done
use "$usr"
cmake -S "$usr/share/doc/stamp/examples/embed" -B "$work/embed" -G Ninja -DCMAKE_PREFIX_PATH="$usr" > "$work/log" 2>&1 ||
  { cat "$work/log" >&2; fail "find_package(stamp) failed"; }
cmake --build "$work/embed" > "$work/log" 2>&1 || { cat "$work/log" >&2; fail "the example does not build"; }
"$work/embed/embed" "$usr/share/stamp/demo/llm" "The kernel"
echo "== package ok"
