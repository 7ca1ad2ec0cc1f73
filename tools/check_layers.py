#!/usr/bin/env python3
"""Checks that the layers of stamp/ include only the layers below them (docs/design.md).

Prints file:line for every include that points the wrong way and exits with 1. No arguments; run it from anywhere.
"""
import re
import sys
from pathlib import Path

# What each layer may include besides itself: whole layers, or single headers.
ALLOWED = {
    "core": [],
    "mpi": ["core"],
    "kernels": ["core"],
    "io": ["core"],
    "quant": ["core", "kernels", "io/json.h"],
    "nn": ["core", "kernels", "quant", "io/hf_config.h", "io/mmap.h"],
    "text": ["core", "io"],
    "diffusion": ["core", "io"],
    "models": ["core", "io", "nn", "quant/recipe.h", "quant/calibration.h", "quant/low_rank.h",
               "quant/token_codec.h"],
    "pipelines": ["core", "kernels", "io", "quant", "nn", "text", "diffusion", "models"],
    "http": ["core"],
    "server": ["core", "io", "nn", "text", "models", "pipelines", "http"],
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]((?:stamp|cli|tests)/[^>"]+)[>"]')


def is_allowed(layer, target):
    """`target` is a path such as "stamp/quant/recipe.h"."""
    if not target.startswith("stamp/"):
        return False
    header = target.removeprefix("stamp/")
    return any(header == rule or header.startswith(rule + "/") for rule in [layer, *ALLOWED[layer]])


def violations(root):
    for path in sorted((root / "stamp").glob("*/**/*")):
        if path.suffix not in {".h", ".cc", ".def", ".inc"}:
            continue
        layer = path.relative_to(root / "stamp").parts[0]
        if layer not in ALLOWED:
            yield f"{path.relative_to(root)}:1: unknown layer '{layer}'"
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            match = INCLUDE.match(line)
            if match and not is_allowed(layer, match[1]):
                yield f"{path.relative_to(root)}:{number}: {layer} may not include {match[1]}"


def main():
    found = list(violations(Path(__file__).resolve().parent.parent))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
