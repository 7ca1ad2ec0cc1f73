#!/usr/bin/env python3
"""Makes tests/data/gguf with the Python package gguf: blocks of every type and their values, and tiny models.

    python3 tools/make_gguf_fixtures.py [--out tests/data/gguf]

Needs gguf and numpy. blocks.safetensors holds, for every type, TYPE.blocks (random bytes with finite scales)
and TYPE.values, what gguf.quants.dequantize makes of them. llama-*.gguf and qwen2-f32.gguf are the models of
tests/data/llm, qwen2-yarn.gguf is that of tests/data/oracles/llm/qwen2_yarn, converted as llama.cpp's converter does (q and k
of Llama reordered, RoPE scaling of Llama 3 as divisors), with a vocabulary of single bytes; tokens-*.gguf hold the vocabularies of tests/data/tok and no tensors.
"""
import argparse
import json
import struct
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
# Places of fp16 scales in a block.
SCALES = {Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0], Type.Q2_K: [80, 82],
          Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}
NUMPY_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
LAYER_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
               "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
               "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
OTHER_NAMES = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
               "lm_head.weight": "output.weight"}


def write_safetensors(path, arrays):
    names = {np.dtype(text): name for name, text in NUMPY_TYPES.items()}
    header, data = {}, b""
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(raw[begin:end], dtype="<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(raw[begin:end], dtype=NUMPY_TYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


def random_blocks(kind, count, rng):
    """Bytes of which all but the scales are random."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for place in SCALES[kind]:
        scales = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 2, count)).astype(np.float16)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def make_blocks(path, rng):
    arrays = {}
    for kind in SCALES:
        blocks = random_blocks(kind, 16 if gguf.GGML_QUANT_SIZES[kind][0] == 32 else 3, rng)
        arrays[kind.name + ".blocks"] = blocks.reshape(-1)
        arrays[kind.name + ".values"] = gguf.quants.dequantize(blocks, kind).reshape(-1)
    write_safetensors(path, arrays)


def gguf_name(name):
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    _, _, layer, rest = name.split(".", 3)
    part, suffix = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[part]}.{suffix}"


def neighbours(weight, heads):
    """Rows of q and k as GGUF orders them: what RoPE turns together side by side."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def rope_divisors(config):
    rope, head_dim = config["rope_parameters"], config["head_dim"]
    context, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    divisors = []
    for i in range(0, head_dim, 2):
        turns = context / (2 * np.pi * rope["rope_theta"] ** (i / head_dim))
        share = np.clip((turns - low) / (high - low), 0, 1)
        divisors.append(1 / ((1 - share) / factor + share))
    return np.array(divisors, dtype=np.float32)


def add_metadata(writer, config):
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    scaling = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])


def add_tokenizer(writer, pre, tokens, kinds, merges):
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)


def add_bytes(writer, pre):
    """BOS, EOS and single bytes: small letters, blank and line feed first, so that the models have rows for them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelled = {byte: chr(byte) for byte in printable}
    spelled |= {byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in printable)}
    first = [*b"abcdefghijklmnopqrstuvwxyz \n"]
    order = [*first, *(byte for byte in range(256) if byte not in first)]
    tokens = ["<|begin|>", "<|end|>", *(spelled[byte] for byte in order), "AB", "[PAD259]"]
    kinds = [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * 257 + [gguf.TokenType.UNUSED]
    add_tokenizer(writer, pre, tokens, kinds, ["A B"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }} {% endfor %}")


def add_vocabulary(writer, directory, pre):
    """That of a directory, as the converter writes it."""
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokens = {id: text for text, id in tokenizer["model"]["vocab"].items()}
    kinds = {id: gguf.TokenType.NORMAL for id in tokens}
    for token in tokenizer["added_tokens"]:
        tokens[token["id"]] = token["content"]
        kinds[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    size = max(tokens) + 1
    add_tokenizer(writer, pre, [tokens.get(i, f"[PAD{i}]") for i in range(size)],
                  [kinds.get(i, gguf.TokenType.UNUSED) for i in range(size)], merges)
    config = json.loads((directory / "tokenizer_config.json").read_text())
    ids = {text: id for id, text in tokens.items()}
    for key, add in (("bos_token", writer.add_bos_token_id), ("eos_token", writer.add_eos_token_id)):
        if config.get(key) in ids:
            add(ids[config[key]])


def write_vocabulary(path, directory, pre):
    """A file without tensors."""
    writer = gguf.GGUFWriter(path, "llama")
    add_vocabulary(writer, directory, pre)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def renamed_tensors(checkpoint, config):
    tensors = {gguf_name(name): tensor for name, tensor in read_safetensors(checkpoint / "model.safetensors").items()}
    if config["model_type"] == "llama":
        for name in tensors:
            if ".attn_q." in name or ".attn_k." in name:
                heads = config["num_attention_heads" if ".attn_q." in name else "num_key_value_heads"]
                tensors[name] = neighbours(tensors[name], heads)
        if (config.get("rope_parameters") or {}).get("rope_type") == "llama3":
            tensors["rope_freqs.weight"] = rope_divisors(config)
    return tensors


def write_model(path, checkpoint, matrix_types, add_tokens, tensors=None):
    """The model of a Hugging Face directory; matrices take turns in the types, those with parts of blocks stay F32.
    `tensors` by their names in GGUF files stand for those of the directory."""
    config = json.loads((checkpoint / "config.json").read_text())
    writer = gguf.GGUFWriter(path, config["model_type"])
    add_metadata(writer, config)
    add_tokens(writer)
    for i, (name, tensor) in enumerate(sorted((tensors or renamed_tensors(checkpoint, config)).items())):
        matrix_type = matrix_types[i % len(matrix_types)]
        block = gguf.GGML_QUANT_SIZES[matrix_type][0]
        kind = matrix_type if tensor.ndim == 2 and tensor.shape[1] % block == 0 else Type.F32
        writer.add_tensor(name, gguf.quants.quantize(tensor.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DATA / "gguf")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    make_blocks(out / "blocks.safetensors", np.random.default_rng(0))
    llama, qwen2 = DATA / "llm/llama/ckpt", DATA / "llm/qwen2/ckpt"
    files = {"f32": [Type.F32], "q8_0": [Type.Q8_0], "q4_0": [Type.Q4_0],
             "mixed": [Type.F16, Type.BF16, Type.Q8_0, Type.Q5_0, Type.Q4_1, Type.Q5_1]}
    for name, kinds in files.items():
        write_model(out / f"llama-{name}.gguf", llama, kinds, lambda writer: add_bytes(writer, "llama-bpe"))
    write_model(out / "qwen2-f32.gguf", qwen2, [Type.F32], lambda writer: add_bytes(writer, "qwen2"))
    yarn = DATA / "oracles/llm/qwen2_yarn/ckpt"
    write_model(out / "qwen2-yarn.gguf", yarn, [Type.F32], lambda writer: add_bytes(writer, "qwen2"))
    write_vocabulary(out / "tokens-llama3.gguf", DATA / "tok/llama3/ckpt", "llama-bpe")
    write_vocabulary(out / "tokens-qwen2.gguf", DATA / "tok/qwen2/ckpt", "qwen2")


if __name__ == "__main__":
    main()
