#!/usr/bin/env python3
"""Fails when the compiler keeps accumulators of an integer kernel on the stack (x86 object files).

usage: check_no_spills.py OBJECT...

Looks at every innermost loop with integer dot products or multiplications of byte pairs (vpdpbusd, vpmaddubsw,
vpmaddwd) and prints the vector instructions in it that touch the stack. A compiler update can bring them silently, at half the speed.
An object without such a loop fails too: then nothing was checked.
"""
import re
import subprocess
import sys

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
PRODUCT = re.compile(r"vpdpbusd|vpmaddubsw|vpmaddwd")


def functions(path):
    """(name, [(address, mnemonic, operands)]) of every function of an object file."""
    text = subprocess.run(["objdump", "-d", "-C", "--no-show-raw-insn", path], check=True, capture_output=True,
                          text=True).stdout
    name, lines = None, []
    for line in text.splitlines():
        if found := FUNCTION.match(line):
            yield name, lines
            name, lines = found[1], []
        elif found := LINE.match(line.replace("{vex} ", "")):
            lines.append((int(found[1], 16), found[2], found[3]))
    yield name, lines


def innermost_loops(lines):
    """What lies between a backward jump and its target, without another loop inside."""
    found = []
    for address, mnemonic, operands in lines:
        target = operands.split(" ")[0]
        if mnemonic.startswith("j") and re.fullmatch("[0-9a-f]+", target) and int(target, 16) <= address:
            found.append((int(target, 16), address))
    for start, end in found:
        if not any(other != (start, end) and start <= other[0] and other[1] <= end for other in found):
            yield [line for line in lines if start <= line[0] <= end]


def main(paths):
    bad = 0
    for path in paths:
        loops = 0
        for name, lines in functions(path):
            framed = any(mnemonic == "mov" and operands == "%rsp,%rbp" for _, mnemonic, operands in lines)
            stack = re.compile(r"\(%rsp|\(%rbp" if framed else r"\(%rsp")
            for loop in innermost_loops(lines):
                if not any(PRODUCT.match(mnemonic) for _, mnemonic, _ in loop):
                    continue
                loops += 1
                spills = [line for line in loop if "mm" in line[2] and stack.search(line[2])]
                bad += bool(spills)
                for address, mnemonic, operands in spills:
                    print(f"{path}: {name.split('(signed')[0]}: {address:x}: {mnemonic} {operands}")
        print(f"{path}: {loops} inner loops checked")
        bad += loops == 0
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
