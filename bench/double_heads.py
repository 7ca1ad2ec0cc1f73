#!/usr/bin/env python3
"""Writes a Llama model with every attention head twice, which computes the same: for jobs of more processes than the
model has heads of K and V. Queries, keys and values are repeated, the columns of o_proj halved (exact in bf16).

  bench/double_heads.py MODEL OUT        needs numpy
"""
import json
import shutil
import sys
from pathlib import Path

import numpy as np


def read_tensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if entry["dtype"] != "BF16":
            sys.exit(f"double_heads: {name}: expected BF16, got {entry['dtype']}")
        begin, end = entry["data_offsets"]
        yield name, np.frombuffer(data[8 + length + begin : 8 + length + end], np.uint16).reshape(entry["shape"])


def write_tensors(path, tensors):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(t.tobytes() for t in tensors.values()))


def twice(tensor, groups, axis):
    """The `groups` equal parts of an axis, each twice in a row."""
    return np.concatenate([part for part in np.split(tensor, groups, axis) for _ in range(2)], axis)


def halved(bf16):
    return ((bf16.astype(np.uint32) << 16).view(np.float32) / 2).view(np.uint32).__rshift__(16).astype(np.uint16)


def main(model, out):
    config = json.loads((model / "config.json").read_text())
    groups = config["num_key_value_heads"]
    tensors = {}
    for name, tensor in read_tensors(model / "model.safetensors"):
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            tensor = twice(tensor, groups, 0)
        elif name.endswith("o_proj.weight"):
            tensor = twice(halved(tensor), groups, 1)
        tensors[name] = tensor
    config["num_key_value_heads"] *= 2
    config["num_attention_heads"] *= 2
    shutil.copytree(model, out)
    (out / "config.json").write_text(json.dumps(config, indent=1))
    write_tensors(out / "model.safetensors", tensors)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
