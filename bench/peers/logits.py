#!/usr/bin/env python3
"""Logits of `stamp` and llama.cpp for the same GGUF files, side by side.

    python3 bench/peers/logits.py [--model demo/llm] [--text FILE] [--tokens 512] [--types bf16 q8_0 q4_k_m ...] [--keep DIR]

The directory is converted to GGUF in bf16, llama.cpp makes the other types of it, and both read each file: in one pass over
the first tokens of the text, BOS first. Printed are the largest difference of a logit, the mean KL divergence of stamp from
llama.cpp, how often the likeliest token is the same, and both perplexities. llama.cpp multiplies blocks with inputs that it
rounds to 8 bits; stamp does not. The last two columns therefore give llama.cpp the same values in fp32. Needs the packages stamp_quant, llama_cpp, gguf and numpy.
"""
import argparse
import ctypes
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp as ll
import numpy as np
import stamp_quant

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from make_gguf_fixtures import add_vocabulary, write_model  # noqa: E402

# enum llama_ftype
TYPES = {"bf16": 32, "f16": 1, "q8_0": 7, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_m": 12, "q4_k_m": 15,
         "q5_k_m": 17, "q6_k": 18}  # fmt: skip


@ll.llama_log_callback
def silent(level, text, data):
    pass


def quantize(source, kind, target):
    params = ll.llama_model_quantize_default_params()
    params.ftype = TYPES[kind]
    if ll.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise RuntimeError(f"llama.cpp cannot quantize to {kind}")


def write_decoded(source, target, options):
    """The same model with the values of the blocks in fp32, as gguf decodes them."""
    tensors = {}
    for tensor in gguf.GGUFReader(source).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        tensors[tensor.name] = values.reshape([int(size) for size in reversed(tensor.shape)])
    write_model(target, options.model, [gguf.GGMLQuantizationType.F32],
                lambda writer: add_vocabulary(writer, options.model, options.pre), tensors)


def llama_logits(path, ids):
    """[tokens, vocabulary], with a cache in fp32."""
    model = ll.llama_model_load_from_file(str(path).encode(), ll.llama_model_default_params())
    params = ll.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = len(ids)
    params.n_threads = params.n_threads_batch = 1
    params.type_k = params.type_v = 0  # GGML_TYPE_F32
    params.flash_attn_type = 0
    context = ll.llama_init_from_model(model, params)
    batch = ll.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = token, i, 1, 0, 1
    if ll.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")
    size = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(model))
    rows = [np.ctypeslib.as_array(ll.llama_get_logits_ith(context, i), (size,)).copy() for i in range(len(ids))]
    ll.llama_batch_free(batch)
    ll.llama_free(context)
    ll.llama_model_free(model)
    return np.stack(rows)


def llama_ids(path, text):
    """Without BOS."""
    params = ll.llama_model_default_params()
    params.vocab_only = True
    model = ll.llama_model_load_from_file(str(path).encode(), params)
    raw = text.encode()
    ids = (ll.llama_token * (len(raw) + 8))()
    count = ll.llama_tokenize(ll.llama_model_get_vocab(model), raw, len(raw), ids, len(ids), False, True)
    ll.llama_model_free(model)
    return list(ids[:count])


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def compare(theirs, ours, ids):
    p, q = log_softmax(theirs), log_softmax(ours)
    nll = [-np.mean([x[i, token] for i, token in enumerate(ids[1:])]) for x in (p, q)]
    return {"largest difference": np.abs(theirs - ours).max(), "largest logit": np.abs(theirs).max(),
            "KL": (np.exp(p) * (p - q)).sum(1).mean(), "same top": (theirs.argmax(1) == ours.argmax(1)).mean(),
            "llama.cpp": np.exp(nll[0]), "stamp": np.exp(nll[1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "demo/llm")
    parser.add_argument("--text", type=Path, help="default: MODEL/heldout.txt")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--types", nargs="*", default=list(TYPES), choices=list(TYPES))
    parser.add_argument("--pre", default="llama-bpe", help="pre-tokenizer of the model")
    parser.add_argument("--keep", type=Path, help="folder for the GGUF files (default: a temporary one)")
    options = parser.parse_args()
    text = (options.text or options.model / "heldout.txt").read_text()
    ll.llama_log_set(silent, None)
    ll.llama_backend_init()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        plain = folder / "bf16.gguf"
        if not plain.exists():
            write_model(plain, options.model, [gguf.GGMLQuantizationType.BF16],
                        lambda writer: add_vocabulary(writer, options.model, options.pre))
        part = text[: 8 * options.tokens]
        ids = llama_ids(plain, part)
        own = stamp_quant.load(str(plain)).encode(part, add_special=False)
        print(f"{len(ids)} tokens; both tokenizers agree: {list(own) == ids}")
        bos = [stamp_quant.load(str(plain)).encode("")[0]]
        ids = (bos + ids)[: options.tokens]
        print("| type | file, MB | largest difference | of largest logit | KL | same top | perplexity llama.cpp | stamp "
              "| decoded: largest difference | KL |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for kind in options.types:
            path = folder / f"{kind}.gguf"
            if not path.exists():
                quantize(plain, kind, path)
            ours = np.asarray(stamp_quant.load(str(path)).logits(ids))
            row = compare(llama_logits(path, ids), ours, ids)
            decoded = folder / "decoded.gguf"
            write_decoded(path, decoded, options)
            same = compare(llama_logits(decoded, ids), ours, ids)
            print(f"| {kind} | {path.stat().st_size / 1e6:.1f} | {row['largest difference']:.2e} | {row['largest logit']:.1f} "
                  f"| {row['KL']:.2e} | {row['same top']:.4f} | {row['llama.cpp']:.3f} | {row['stamp']:.3f} "
                  f"| {same['largest difference']:.2e} | {same['KL']:.2e} |", flush=True)


if __name__ == "__main__":
    main()
