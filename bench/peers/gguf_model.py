#!/usr/bin/env python3
"""Writes a GGUF file with random weights of the Llama-3.2-1B shape, to measure speed and memory.

    python gguf_model.py q4_0|bf16 OUT.gguf

Every matrix, the embedding included (it is the output matrix too), has the given type; the vocabulary is made up. The
file is written tensor by tensor. Needs the packages gguf and numpy.
"""
import sys

import gguf
import numpy as np

HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 2048, 8192, 16, 32, 8, 64, 128256
CONTEXT = 131072
TYPES = {"q4_0": gguf.GGMLQuantizationType.Q4_0, "bf16": gguf.GGMLQuantizationType.BF16}
FILE_TYPES = {"q4_0": gguf.LlamaFileType.MOSTLY_Q4_0, "bf16": gguf.LlamaFileType.MOSTLY_BF16}


def tensor_shapes():
    yield "token_embd.weight", (VOCAB, HIDDEN)
    yield "output_norm.weight", (HIDDEN,)
    for layer in range(LAYERS):
        for name, shape in (
            ("attn_norm", (HIDDEN,)), ("attn_q", (HEADS * HEAD_DIM, HIDDEN)), ("attn_k", (KV_HEADS * HEAD_DIM, HIDDEN)),
            ("attn_v", (KV_HEADS * HEAD_DIM, HIDDEN)), ("attn_output", (HIDDEN, HEADS * HEAD_DIM)),
            ("ffn_norm", (HIDDEN,)), ("ffn_gate", (FFN, HIDDEN)), ("ffn_up", (FFN, HIDDEN)), ("ffn_down", (HIDDEN, FFN)),
        ):  # fmt: skip
            yield f"blk.{layer}.{name}.weight", shape


def random_rows(kind, rows, columns, rng):
    """Stored bytes [rows, bytes of a row] whose values have the variance 1 / columns."""
    if kind == "bf16":
        values = (rng.random((rows, columns), dtype=np.float32) - np.float32(0.5)) * np.float32((12 / columns) ** 0.5)
        return (values.view("<u4") >> 16).astype("<u2").view(np.uint8)
    blocks = np.empty((rows, columns // 32, 18), dtype=np.uint8)  # an fp16 scale and 32 nibbles
    deviation = ((16**2 - 1) / 12) ** 0.5  # of a uniform code
    blocks[:, :, :2] = np.frombuffer(np.float16(columns**-0.5 / deviation).tobytes(), dtype=np.uint8)
    blocks[:, :, 2:] = np.frombuffer(rng.bytes(rows * columns // 2), dtype=np.uint8).reshape(rows, columns // 32, 16)
    return blocks.reshape(rows, -1)


def byte_alphabet():
    """The printable characters that stand for the 256 bytes in GPT-2 vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def add_metadata(writer, kind):
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(FILE_TYPES[kind])
    tokens = byte_alphabet()
    tokens += [f"x{i:06}" for i in range(VOCAB - len(tokens) - 2)] + ["<|begin|>", "<|end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (VOCAB - 2) + [gguf.TokenType.CONTROL] * 2)
    writer.add_token_merges([f"{a} {b}" for a in "xyz" for b in "0123456789"])
    writer.add_bos_token_id(VOCAB - 2)
    writer.add_eos_token_id(VOCAB - 1)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")


def write_model(kind, path):
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    add_metadata(writer, kind)
    row_bytes = {"bf16": lambda columns: 2 * columns, "q4_0": lambda columns: columns // 32 * 18}[kind]
    for name, shape in tensor_shapes():
        if len(shape) == 1:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0])
        else:
            stored = (shape[0], row_bytes(shape[1]))
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), stored[0] * stored[1], raw_dtype=TYPES[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, shape in tensor_shapes():
        one = len(shape) == 1
        writer.write_tensor_data(np.ones(shape, dtype=np.float32) if one else random_rows(kind, *shape, rng))
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in TYPES:
        sys.exit(__doc__)
    write_model(sys.argv[1], sys.argv[2])
