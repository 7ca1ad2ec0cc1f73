#!/usr/bin/env python3
"""Fails when a kernel object of one instruction set defines functions that other objects may define too.

usage: check_isa_symbols.py BUILD

The linker keeps one copy of an inline library function: if it came from an AVX-512 object, the program would crash on
processors without. An optimized build hides most of them, so every stamp/kernels/<isa>/*.cc that BUILD's
compile_commands.json lists is compiled again with -O0. Allowed are the kernel tables, the pointer to the
exception personality, which is data, and clang's call of std::terminate, which has no vectors.
"""
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ALLOWED = re.compile(r"^(stamp::k\w+Kernels|DW\.ref\.__g(xx|cc)_personality_v0|__odr_asan\..*|__clang_call_terminate)$")


def isa_sources(build):
    for entry in json.loads((Path(build) / "compile_commands.json").read_text(encoding="utf-8")):
        path = Path(entry["file"])
        if path.parts[-4:-2] == ("stamp", "kernels") and path.parent.name != "scalar":
            yield path, entry


def shared_symbols(entry, directory):
    """External symbols of a source file compiled with -O0."""
    target = str(Path(directory) / "object.o")
    command = [part for part in shlex.split(entry["command"]) if not re.fullmatch(r"-O\d|-MD|ccache|.*/ccache", part)]
    output = command.index("-o")
    command[output + 1] = target
    for option in ("-MT", "-MF"):
        if option in command:
            at = command.index(option)
            del command[at:at + 2]
    subprocess.run([*command, "-O0", "-w"], check=True, cwd=entry["directory"])
    listing = subprocess.run(["nm", "-C", "--defined-only", "--extern-only", target], check=True, capture_output=True,
                             text=True).stdout
    names = [line.split(" ", 2)[2] for line in listing.splitlines()]
    return [name for name in names if not ALLOWED.match(name)]


def main(build):
    checked = bad = 0
    with tempfile.TemporaryDirectory() as directory:
        for path, entry in isa_sources(build):
            checked += 1
            for name in shared_symbols(entry, directory):
                bad += 1
                print(f"{path}: exports {name}")
    print(f"{checked} files checked")
    return 1 if bad or not checked else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
