#!/usr/bin/env python3
"""Writes a Hugging Face model directory with random bf16 weights of a published shape, to measure speed and memory.

    python tools/make_random_model.py llama-3.2-1b OUT [--seed 0] [--shard-gib 2] [--tokenizer DIR]

Nothing is read from the network and the output means nothing. Tensors are made and written piece by piece: memory stays
below 200 MB for any shape. --tokenizer copies tokenizer.json and tokenizer_config.json from DIR, and names the ids that the
shape has beyond them, so that every token drawn has a text. Needs NumPy only.
"""
import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy as np

LLAMA3_SCALING = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 8192}  # fmt: skip


def llama(hidden, ffn, layers, heads, kv_heads, head_dim, vocab, tied, scaling=LLAMA3_SCALING, positions=131072):
    return dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=hidden, intermediate_size=ffn,
                num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim,
                vocab_size=vocab, rope_theta=500000.0, rope_scaling=scaling, rms_norm_eps=1e-5, tie_word_embeddings=tied,
                attention_bias=False, mlp_bias=False, max_position_embeddings=positions, bos_token_id=0,
                eos_token_id=1)  # fmt: skip


SHAPES = {
    "tiny": llama(64, 160, 2, 4, 2, 16, 512, True, None, 2048),
    "llama-3.2-1b": llama(2048, 8192, 16, 32, 8, 64, 128256, True),
    "llama-3.2-3b": llama(3072, 8192, 28, 24, 8, 128, 128256, True),
    "llama-3-8b": llama(4096, 14336, 32, 32, 8, 128, 128256, False, None, 8192),
    "qwen2.5-3b": dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=2048, intermediate_size=11008,
        num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2, vocab_size=151936, rope_theta=1000000.0,
        rms_norm_eps=1e-6, tie_word_embeddings=True, max_position_embeddings=32768, use_sliding_window=False,
        eos_token_id=1),
}  # fmt: skip


def tensor_shapes(config):
    """(name, shape) of every tensor, in the order of the files."""
    d, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    head_dim = config.get("head_dim", d // config["num_attention_heads"])
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    yield "model.embed_tokens.weight", (v, d)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        for name, out_dim, in_dim in (("q", q, d), ("k", kv, d), ("v", kv, d), ("o", d, q)):
            yield f"{layer}self_attn.{name}_proj.weight", (out_dim, in_dim)
            if config["model_type"] == "qwen2" and name != "o":
                yield f"{layer}self_attn.{name}_proj.bias", (out_dim,)
        yield f"{layer}mlp.gate_proj.weight", (f, d)
        yield f"{layer}mlp.up_proj.weight", (f, d)
        yield f"{layer}mlp.down_proj.weight", (d, f)
        yield f"{layer}input_layernorm.weight", (d,)
        yield f"{layer}post_attention_layernorm.weight", (d,)
    yield "model.norm.weight", (d,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (v, d)


def make_shards(config, limit):
    """Lists of (name, shape) of at most `limit` bytes each (a single tensor may be larger)."""
    shards, size = [[]], 0
    for name, shape in tensor_shapes(config):
        bytes_ = 2 * int(np.prod(shape))
        if shards[-1] and size + bytes_ > limit:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += bytes_
    return shards


def write_values(file, name, shape, rng):
    """bf16 bits: norms are 1, the rest is uniform with the standard deviation that keeps activations in range."""
    count = int(np.prod(shape))
    if name.endswith("norm.weight"):
        file.write(np.full(count, 0x3F80, dtype="<u2").tobytes())
        return
    scale = np.float32(2 * np.sqrt(3) * (0.02 if len(shape) == 1 else shape[1] ** -0.5))
    for first in range(0, count, 1 << 23):
        values = rng.random(min(1 << 23, count - first), dtype=np.float32)
        values -= np.float32(0.5)
        values *= scale
        file.write((values.view("<u4") >> 16).astype("<u2").tobytes())


def write_shard(path, tensors, rng):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            write_values(file, name, shape, rng)
    return offset


def write_model(config, out, limit, seed):
    rng = np.random.Generator(np.random.SFC64(seed))
    shards = make_shards(config, limit)
    weight_map, total = {}, 0
    for i, tensors in enumerate(shards):
        name = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        total += write_shard(out / name, tensors, rng)
        weight_map.update({tensor: name for tensor, _ in tensors})
        print(f"{name}: {total / 2**30:.2f} GiB so far")
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def write_tokenizer(source, out, vocab_size):
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab.update({f"[{i}]": i for i in range(len(vocab), vocab_size)})
    (out / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copy(source / "tokenizer_config.json", out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-gib", type=float, default=2.0)
    parser.add_argument("--tokenizer", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    config = {**SHAPES[options.shape], "hidden_act": "silu", "torch_dtype": "bfloat16"}
    (options.out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if options.tokenizer:
        write_tokenizer(options.tokenizer, options.out, config["vocab_size"])
    write_model(config, options.out, int(options.shard_gib * 2**30), options.seed)


if __name__ == "__main__":
    main()
