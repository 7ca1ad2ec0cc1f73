#!/usr/bin/env python3
"""Loads a weight-only directory written by `stamp quantize` with other programs and compares every weight.

    python3 -m venv venv && venv/bin/pip install torch transformers compressed-tensors==0.20.0
    venv/bin/python tools/check_compressed_tensors.py MODEL QUANTIZED

MODEL is the plain directory, QUANTIZED what `stamp quantize MODEL --recipe R --out QUANTIZED` made of it, with a recipe
that quantizes weights only. Three comparisons, all exact or bounded by rounding:
  1. compressed-tensors' decompressed weights equal a decoding of the same bytes written here from docs/formats.md;
  2. they lie within half a step of the plain weights wherever the clip search did not clip;
  3. transformers' from_pretrained(QUANTIZED) computes the same logits as the plain model with those weights put in.
"""
import argparse
import json
from pathlib import Path

import torch
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors import safe_open
from transformers import AutoModelForCausalLM


def read_tensors(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        if file.name.startswith("stamp_"):
            continue
        with safe_open(file, framework="pt") as shard:
            tensors.update({name: shard.get_tensor(name) for name in shard.keys()})
    return tensors


def decode(packed, scale, shape, bits):
    """The formula of docs/formats.md; the product is rounded to the scale's type, as compressed-tensors does."""
    words = packed.numpy().view("uint32")
    fields = [(words >> (bits * j)) & ((1 << bits) - 1) for j in range(32 // bits)]
    codes = torch.stack([torch.from_numpy(f.astype("int32")) for f in fields], dim=-1).reshape(packed.shape[0], -1)
    codes = codes[:, : shape[1]] - (1 << (bits - 1))
    steps = scale.float().repeat_interleave(shape[1] // scale.shape[1], dim=1)
    return (codes.float() * steps).to(scale.dtype), codes, steps


def check_weights(plain, stored, config):
    """Decompressed weights by module name."""
    schemes = config.config_groups
    weights = {}
    for name in sorted(n[: -len(".weight_packed")] for n in stored if n.endswith(".weight_packed")):
        scheme = schemes["group_1"] if name == "lm_head" else schemes["group_0"]
        state = {key: stored[f"{name}.{key}"] for key in ("weight_packed", "weight_scale", "weight_shape")}
        weight = PackedQuantizationCompressor.decompress(dict(state), scheme)["weight"]
        shape, bits = state["weight_shape"].tolist(), scheme.weights.num_bits
        own, codes, steps = decode(state["weight_packed"], state["weight_scale"], shape, bits)
        assert torch.equal(weight, own), f"{name}: decompressed weights differ"
        source = plain.get(f"{name}.weight", plain["model.embed_tokens.weight"]).float()
        inside = (codes > -(1 << (bits - 1))) & (codes < (1 << (bits - 1)) - 1)
        error = ((source - codes * steps).abs() / steps)[inside].max().item()
        assert error <= 0.5001, f"{name}: {error} steps from the plain weight"
        weights[name] = codes.float() * steps
    return weights


def check_logits(model, quantized, weights):
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    state = reference.state_dict()
    untied = "lm_head" in weights and reference.config.tie_word_embeddings
    if untied:
        reference.lm_head.weight = torch.nn.Parameter(state["lm_head.weight"].clone())
    with torch.no_grad():
        for name, weight in weights.items():
            reference.get_submodule(name).weight.copy_(weight.half())
    loaded = AutoModelForCausalLM.from_pretrained(quantized, dtype=torch.float32).eval()
    ids = torch.arange(40)[None] % reference.config.vocab_size
    with torch.no_grad():
        want, got = reference(ids).logits, loaded(ids).logits
    error = ((got - want).norm() / want.norm()).item()
    assert error < 2e-3, f"logits differ by {error}"
    return error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("quantized", type=Path)
    options = parser.parse_args()
    config = json.loads((options.quantized / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "compressed-tensors", f"quant_method is {config['quant_method']}"
    parsed = QuantizationConfig.model_validate(config)
    weights = check_weights(read_tensors(options.model), read_tensors(options.quantized), parsed)
    print(f"{len(weights)} weights decompress to the same values, within half a step of the plain ones")
    print(f"logits through transformers: relative difference {check_logits(options.model, options.quantized, weights):.1e}")


if __name__ == "__main__":
    main()
