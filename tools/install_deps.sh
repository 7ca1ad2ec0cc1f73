#!/usr/bin/env bash
# Installs the Debian packages that building and testing need; asks apt only for what is missing. With the argument "arm"
# also those of `make test-arm`, with "tsan" or "fuzz" those of `make tsan` and `make fuzz`.
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config python3 python3-dev python3-venv
  libfmt-dev nlohmann-json3-dev libcli11-dev libpcre2-dev libutf8proc-dev libeigen3-dev libdnnl-dev libssl-dev
  libpng-dev libjpeg-dev libboost-dev libopenmpi-dev openmpi-bin
  ocl-icd-opencl-dev opencl-headers  # what the CMake files of libdnnl-dev ask for
  libgtest-dev libbenchmark-dev clang-format
)

[[ ${1:-} == arm ]] && packages+=(g++-aarch64-linux-gnu qemu-user googletest)
[[ ${1:-} == tsan || ${1:-} == fuzz ]] && packages+=(clang-19 libclang-rt-19-dev libomp-19-dev)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "== all ${#packages[@]} packages are installed"
  exit 0
fi

sudo=""
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "deps: need root or sudo to install: ${missing[*]}" >&2; exit 1; }
  sudo=sudo
fi
echo "== installing ${missing[*]}"
$sudo apt-get update -qq || { echo "deps: apt-get update failed" >&2; exit 1; }
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
  { echo "deps: apt-get could not install: ${missing[*]}" >&2; exit 1; }
