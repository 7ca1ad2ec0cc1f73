#!/usr/bin/env python3
"""Writes a small folder of reference cases for `stamp verify`: outputs of other people's libraries, and of definitions.

    python tools/make_oracles.py OUT [--seed 7]

OUT/llm/*    tiny random checkpoints with sizes that trip shortcuts up (head_dim 8 and 24, one-token inputs, biases, both
             spellings of the rope keys, scaled RoPE far beyond the context of training), run by `transformers` in fp32
OUT/tok/*    byte-level BPE tokenizers trained on a few sentences, run by `tokenizers`, with rendered chat templates
OUT/transforms.safetensors  Haar, wavelets and 2-D Haar at odd lengths, KLT, WHT at lengths that are no power of two, DCT (SciPy)

Needs torch, transformers, tokenizers, jinja2, safetensors, scipy. tests/data/oracles holds its output.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import scipy.fft
import torch
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

# ---------------------------------------------------------------------------------------------------- transforms


def haar(x, levels):
    """Rows [A_J, D_J, ..., D_1]; of an odd number of rows the last one passes unscaled as the last approximation."""
    details = []
    for _ in range(levels):
        if len(x) < 2:
            break
        even = len(x) // 2 * 2
        a, b = x[0:even:2], x[1:even:2]
        details.insert(0, (a - b) / np.sqrt(2))
        x = np.concatenate([(a + b) / np.sqrt(2), x[even:]])
    return np.concatenate([x, *details])


def walsh_hadamard(n):
    """Blocks over the binary expansion of n, largest first; rows by sign changes per block length, larger block first."""
    rows, first, left = [], 0, n
    while left:
        size = 1 << (left.bit_length() - 1)
        block = np.ones((1, 1))
        while len(block) < size:
            block = np.block([[block, block], [block, -block]])
        for row in block:
            changes = np.count_nonzero(row[1:] != row[:-1])
            whole = np.zeros(n)
            whole[first:first + size] = row / np.sqrt(size)
            rows.append((changes / size, -size, whole))
        first, left = first + size, left - size
    return np.stack([row for _, _, row in sorted(rows, key=lambda item: item[:2])])


# Low-pass filters of analysis: Daubechies 2 and Cohen-Daubechies-Feauveau 9/7 (with its dual).
ROOT3 = np.sqrt(3)
DB2 = np.array([1 - ROOT3, 3 - ROOT3, 3 + ROOT3, 1 + ROOT3]) / (4 * np.sqrt(2))
CDF97 = np.array([0, 0.03782845550726404, -0.023849465019556843, -0.11062440441843718, 0.37740285561283066])
CDF97 = np.concatenate([CDF97, [0.8526986790088938], CDF97[:0:-1]])
CDF97_DUAL = np.array([0, -0.06453888262869706, -0.04068941760916406, 0.41809227322161724, 0.7884856164055829])
CDF97_DUAL = np.concatenate([CDF97_DUAL, CDF97_DUAL[3:0:-1], [0, 0]])


def filter_bank(x, low, dual):
    """One level with periodic extension, rows [A, D]; of an odd number of rows the last one passes."""
    n, length = len(x) // 2 * 2, len(low)
    high = dual * -((-1.0) ** np.arange(length))
    place = (2 * np.arange(n // 2)[:, None] + length // 2 - np.arange(length)) % max(n, 1)
    return np.concatenate([np.einsum("j,ijc->ic", low, x[place]), x[n:], np.einsum("j,ijc->ic", high, x[place])])


def haar2d(x, levels):
    """Sub-bands of x [h, w, cols]: {"cA": ..., "cH1": ...}; odd sizes as in haar()."""
    bands = {}
    for level in range(1, levels + 1):
        h, w = (len(x) + 1) // 2, (x.shape[1] + 1) // 2
        y = haar(x, 1)
        y = haar(y.swapaxes(0, 1), 1).swapaxes(0, 1)
        bands |= {f"cH{level}": y[h:, :w], f"cV{level}": y[:h, w:], f"cD{level}": y[h:, w:]}
        x = y[:h, :w]
    return bands | {"cA": x}


def write_transforms(out, rng):
    tensors = {}
    for h, w, levels in ((8, 8, 2), (6, 10, 1), (7, 5, 3)):
        x = rng.standard_normal((h, w, 2)).astype(np.float32).astype(np.float64)
        tensors[f"x2_{h}x{w}"] = x
        for name, band in haar2d(x, levels).items():
            if band.size:
                tensors[f"haar2d{levels}_{h}x{w}_{name}"] = band
    covariance = np.cov(np.cumsum(rng.standard_normal((12, 400)), axis=0)).astype(np.float32).astype(np.float64)
    values, vectors = np.linalg.eigh(covariance)
    tensors |= {"klt_cov_12": covariance, "klt_eigvals_12": values[::-1], "klt_eigvecs_12": vectors[:, ::-1]}
    for n in (1, 2, 3, 7, 12, 31, 65, 130):
        x = rng.standard_normal((n, 2)).astype(np.float32).astype(np.float64)
        tensors[f"x_{n}"] = x
        tensors[f"dct_{n}"] = scipy.fft.dct(x, axis=0, norm="ortho")
        tensors[f"wht_seq_{n}"] = walsh_hadamard(n) @ x
        if n > 1:
            tensors[f"dwt_db2_{n}"] = filter_bank(x, DB2, DB2[::-1])
            tensors[f"dwt_bior4.4_{n}"] = filter_bank(x, CDF97, CDF97_DUAL)
        if n == 12:
            tensors["klt_abs_12"] = np.abs(vectors[:, ::-1].T @ x)
        for levels in range(1, int(np.ceil(np.log2(n))) + 1):
            if levels in (1, 2, 3) or levels == int(np.ceil(np.log2(n))):
                tensors[f"haar{levels}_{n}"] = haar(x, levels)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, out / "transforms.safetensors")


# ---------------------------------------------------------------------------------------------------- tokenizers

TRAINING = """A model's weights are quantized once; its activations are quantized at every step. We're told that it's cheap,
but they'll cost you accuracy: 4 bits, 3 bits, 2 bits, 1024 tokens and 65536 numbers. Die Übertragung läuft über größere
Blöcke; naïve café, señor, çalışma. Данные на входе слоя. 量化 模型 激活 値 とトークン。 the and of to in is that for with
    def transform(x):  # indented code
        return [x[i] + x[i + 1] for i in range(0, len(x), 2)]
""" * 8

STRINGS = [
    "", " ", "  ", "\n", "\r\n", "\t\t x", "   leading", "trailing   ", "a\n\n\nb", "x \n y", "Hello, world!", "it's we'RE I'LL",
    "1", "12", "1234567 89", "3.14159", "٣٤٥", "naïve café", "e\u0301 vs é", "Å Å", "Übergröße", "Данные", "量化模型", "トークン",
    "👍🏽 👩‍👩‍👧 ok", "\u0000", "a\u0000b", "\u00a0nbsp\u3000wide", "\u200bzero", "ZWJ\u200dhere", "foo_bar(baz[0]) != 'qux'",
    "<|endoftext|>", "a<|im_start|>b", "<|begin_of_text|>twice", "<|eot_id|><|eot_id|>", "<|not a token|>", "<think> x </think>",
    "def f(x):\n    return x\n", "....!!!???", "ſ K ﬁ", "\ufeffbom", "क्षत्रिय", "\U0001f1e9\U0001f1ea", "tab\tend\n", "a" * 40,
]  # fmt: skip

CHATS = [
    [{"role": "user", "content": "Why is the sky blue?"}],
    [{"role": "system", "content": "Be brief.\nBe kind."}, {"role": "user", "content": " 2+2? "},
     {"role": "assistant", "content": "4"}, {"role": "user", "content": "naïve <|im_end|> trick"}],
]  # fmt: skip

KINDS = {
    "llama3_small": {
        "kind": "llama3",
        "pattern": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                   r"|\s+(?!\S)|\s+",
        "special": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "added": [],
        "template": "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
                    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
                    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
    },
    "qwen2_small": {
        "kind": "qwen2",
        "pattern": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
                   r"|\s+(?!\S)|\s+",
        "special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        "added": ["<think>", "</think>"],
        "template": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
                    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    },
}  # fmt: skip


def train_tokenizer(spec):
    llama = spec["kind"] == "llama3"
    tokenizer = Tokenizer(models.BPE(ignore_merges=llama))
    split = pre_tokenizers.Split(Regex(spec["pattern"]), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator([TRAINING], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in spec["special"]])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in spec["added"]])
    byte_level = processors.ByteLevel(trim_offsets=False)
    if llama:
        bos = spec["special"][0]
        template = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = processors.Sequence([byte_level, template])
    else:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.post_processor = byte_level
    return tokenizer


def tokenizer_case(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=True).ids
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    return {"text": text, "ids": ids, "ids_plain": plain, "decoded": tokenizer.decode(plain, skip_special_tokens=False),
            "decoded_skip": tokenizer.decode(ids, skip_special_tokens=True)}  # fmt: skip


def write_tokenizers(out):
    for name, spec in KINDS.items():
        folder = out / "tok" / name
        (folder / "ckpt").mkdir(parents=True, exist_ok=True)
        tokenizer = train_tokenizer(spec)
        bos = spec["special"][0] if spec["kind"] == "llama3" else None
        chat = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos)
        rendered = [
            chat.apply_chat_template(messages, chat_template=spec["template"], tokenize=False, add_generation_prompt=prompt)
            for messages in CHATS for prompt in (False, True)
        ]  # fmt: skip
        tokenizer.save(str(folder / "ckpt/tokenizer.json"), pretty=False)
        config = {"bos_token": bos, "eos_token": spec["special"][-1], "chat_template": spec["template"]}
        (folder / "ckpt/tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        cases = [tokenizer_case(tokenizer, text) for text in STRINGS + rendered]
        (folder / "cases.json").write_text(json.dumps({"kind": spec["kind"], "cases": cases}) + "\n")
        flat = np.array([i for case in cases for i in case["ids"]], dtype=np.int64)
        save_file({"ids": flat}, folder / "oracle.safetensors")


# ---------------------------------------------------------------------------------------------------- language models

LLMS = {
    "llama_hd8_all_biases": dict(
        hidden_size=24, intermediate_size=28, num_attention_heads=3, num_key_value_heads=1, head_dim=8, vocab_size=101,
        attention_bias=True, mlp_bias=True, tie_word_embeddings=False, rope_theta=10000.0, rope_scaling=None,
        tokens=1, dtype="bfloat16"),
    "llama_hd24_scaled_bf16": dict(
        hidden_size=24, intermediate_size=40, num_attention_heads=6, num_key_value_heads=3, head_dim=24, vocab_size=67,
        attention_bias=False, mlp_bias=False, tie_word_embeddings=True, rope_theta=500000.0,
        rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=48),
        tokens=19, dtype="bfloat16"),
    "qwen2_untied_130": dict(
        family="qwen2", hidden_size=16, intermediate_size=31, num_attention_heads=2, num_key_value_heads=1, vocab_size=37,
        tie_word_embeddings=False, rope_theta=1000000.0, rope_scaling=None, tokens=130, dtype="float32"),
    # Contexts of 32 and 16 stretched to 128: 130 tokens leave both, and half of the frequencies are on the ramp.
    "qwen2_yarn": dict(
        family="qwen2", hidden_size=32, intermediate_size=40, num_attention_heads=2, num_key_value_heads=1, vocab_size=41,
        tie_word_embeddings=True, rope_theta=200.0,
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32),
        tokens=130, dtype="float32"),
    "llama_yarn_mscale_untruncated": dict(
        hidden_size=24, intermediate_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=24, vocab_size=43,
        attention_bias=False, mlp_bias=False, tie_word_embeddings=True, rope_theta=300.0,
        rope_scaling=dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=2.5, beta_slow=0.4,
                          mscale=1.4, mscale_all_dim=0.3, truncate=False),
        tokens=130, dtype="float32"),
    "llama_linear": dict(
        hidden_size=24, intermediate_size=32, num_attention_heads=3, num_key_value_heads=1, head_dim=8, vocab_size=43,
        attention_bias=False, mlp_bias=False, tie_word_embeddings=True, rope_theta=10000.0,
        rope_scaling=dict(rope_type="linear", factor=2.5), tokens=21, dtype="float32"),
}  # fmt: skip


def make_model(spec):
    spec = dict(spec)
    family, tokens, dtype = spec.pop("family", "llama"), spec.pop("tokens"), spec.pop("dtype")
    rope = {"rope_type": "default", **(spec.pop("rope_scaling") or {}), "rope_theta": spec.pop("rope_theta")}
    config_type, model_type = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[family]
    config = config_type(num_hidden_layers=2, max_position_embeddings=512, rms_norm_eps=1e-5, rope_parameters=rope,
                         initializer_range=0.35, attn_implementation="eager", **spec)  # fmt: skip
    model = model_type(config).eval()
    with torch.no_grad():  # what random initialisation leaves at 0 or 1 would hide mistakes
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.copy_((1.0 if "norm" in name else 0.0) + 0.3 * torch.randn_like(weight))
    return model.to(getattr(torch, dtype)), tokens


def old_spelling(config):
    """config.json as public checkpoints have it: rope_theta, rope_scaling, torch_dtype."""
    config = dict(config)
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    return config


@torch.no_grad()
def continue_greedily(model, prompt, count, penalty=1.0):
    """ids, the logits that they were chosen from, and the smallest gap between the best two."""
    ids, steps, margin = prompt[0].tolist(), [], float("inf")
    for _ in range(count):
        logits = model(torch.tensor([ids])).logits[0, -1].float()
        steps.append(logits.clone())
        seen = torch.tensor(sorted(set(ids)))
        logits[seen] = torch.where(logits[seen] < 0, logits[seen] * penalty, logits[seen] / penalty)
        best = torch.topk(logits, 2).values
        margin = min(margin, float(best[0] - best[1]))
        ids.append(int(logits.argmax()))
    return ids[prompt.shape[1]:], torch.stack(steps), margin


@torch.no_grad()
def run_model(model, tokens, rng):
    vocabulary = model.config.vocab_size
    ids = lambda n: torch.tensor(rng.integers(2, vocabulary, (1, n)))
    tensors = {"input_ids": ids(tokens), "long_input_ids": ids(130), "prompt_ids": ids(5), "stop_prompt_ids": ids(3)}
    caught = {}
    hooks = [layer.register_forward_hook(lambda m, a, out, i=i: caught.update({f"layer_{i}_out": out[0] if isinstance(out, tuple) else out}))
             for i, layer in enumerate(model.model.layers)]  # fmt: skip
    hooks.append(model.model.norm.register_forward_hook(lambda m, a, out: caught.update(final_norm=out)))
    hooks.append(model.model.embed_tokens.register_forward_hook(lambda m, a, out: caught.update(embed=out)))
    tensors["logits"] = model(tensors["input_ids"]).logits
    tensors.update(caught)
    for hook in hooks:
        hook.remove()
    tensors["long_last_logits"] = model(tensors["long_input_ids"]).logits[:, -1]
    greedy, steps, margin = continue_greedily(model, tensors["prompt_ids"], 12)
    penalized, _, other = continue_greedily(model, tensors["prompt_ids"], 12, 1.3)
    stopping, _, third = continue_greedily(model, tensors["stop_prompt_ids"], 12)
    eos = next((i for i in stopping[4:] if i not in stopping[:4]), stopping[0])
    unused = next(i for i in range(vocabulary) if i not in stopping)
    stopping = stopping[: stopping.index(eos) + 1]
    tensors.update(greedy_ids=torch.tensor([greedy]), greedy_step_logits=steps, reppen13_ids=torch.tensor([penalized]),
                   stop_output_ids=torch.tensor([stopping]), rope_inv_freq=model.model.rotary_emb.inv_freq)  # fmt: skip
    return tensors, [unused, eos], min(margin, other, third)


def write_llm(out, name, spec, seed):
    for attempt in range(20):  # until no choice is so close that rounding could change it
        torch.manual_seed(seed + attempt)
        rng = np.random.default_rng(seed + attempt)
        stored, tokens = make_model(spec)
        model = type(stored)(stored.config).eval()
        model.load_state_dict({k: v.float() for k, v in stored.state_dict().items()})
        tensors, stops, margin = run_model(model.float(), tokens, rng)
        if margin > 0.02:
            break
    folder = out / "llm" / name
    checkpoint = folder / "ckpt"
    stored.generation_config.eos_token_id = stops
    stored.save_pretrained(checkpoint)
    path = checkpoint / "config.json"
    new = json.loads(path.read_text())
    for target, content in ((path, old_spelling(new)), (checkpoint / "config_alt.json", new)):
        target.write_text(json.dumps(content, indent=1) + "\n")
    save_file({k: np.ascontiguousarray(v.detach().numpy()) for k, v in tensors.items()}, folder / "oracle.safetensors")
    print(f"llm/{name}: smallest margin {margin:.3f}, stop ids {stops}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    write_transforms(options.out, np.random.default_rng(options.seed))
    write_tokenizers(options.out)
    for name, spec in LLMS.items():
        write_llm(options.out, name, spec, options.seed)


if __name__ == "__main__":
    main()
