#!/usr/bin/env python3
"""Makes the tiny language models of tests/data/llm and what transformers computes with them.

    python3 tools/make_llm_goldens.py [--out tests/data/llm]

Needs torch, transformers and safetensors. Each case is a folder: ckpt/ as save_pretrained writes it (random weights) and
oracle.safetensors with input_ids, logits, the residual stream after every layer, final_norm, the logits at the end of a
longer input, and greedy continuations (plain, and with repetition penalty 1.3) of prompt_ids.
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

SHAPE = dict(vocab_size=64, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, bos_token_id=0, eos_token_id=[1, 7])
ROPE = dict(rope_type="llama3", rope_theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=64)
CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE, head_dim=8, rope_parameters=ROPE, tie_word_embeddings=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE, rope_parameters=dict(rope_type="default", rope_theta=1e6),
                                            tie_word_embeddings=False)),
}


def randomize(model, generator):
    """Weights large enough that every part of the model shows in the logits."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            parameter.data = 1 + 0.2 * noise
        elif parameter.dim() == 1:
            parameter.data = 0.3 * noise
        else:
            parameter.data = noise * parameter.shape[1] ** -0.5
    model.tie_weights()


def run(model, ids):
    """Logits, embedding, layer outputs and final norm."""
    seen = {}
    hooks = [layer.register_forward_hook(lambda _, __, out, i=i: seen.__setitem__(
        f"layer_{i}_out", out[0] if isinstance(out, tuple) else out)) for i, layer in enumerate(model.model.layers)]
    hooks.append(model.model.embed_tokens.register_forward_hook(lambda _, __, out: seen.__setitem__("embed", out)))
    hooks.append(model.model.norm.register_forward_hook(lambda _, __, out: seen.__setitem__("final_norm", out)))
    seen["logits"] = model(input_ids=ids).logits
    for hook in hooks:
        hook.remove()
    return seen


def greedy(model, prompt, count, penalty):
    ids = prompt[0].tolist()
    for _ in range(count):
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1].clone()
        for token in set(ids):
            logits[token] = logits[token] * penalty if logits[token] < 0 else logits[token] / penalty
        ids.append(int(logits.argmax()))
    return torch.tensor([ids[prompt.shape[1]:]])


def make(name, out):
    generator = torch.Generator().manual_seed(7)
    cls, config = CASES[name]
    model = cls(config).eval().float()
    randomize(model, generator)
    model.save_pretrained(out / name / "ckpt")
    ids = torch.randint(0, config.vocab_size, (1, 100), generator=generator)
    tensors = {"input_ids": ids[:, :20], **run(model, ids[:, :20]), "long_input_ids": ids,
               "long_last_logits": model(input_ids=ids).logits[:, -1], "prompt_ids": ids[:, 40:47]}
    tensors["greedy_ids"] = greedy(model, tensors["prompt_ids"], 12, 1.0)
    tensors["reppen13_ids"] = greedy(model, tensors["prompt_ids"], 12, 1.3)
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, out / name / "oracle.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent.parent / "tests/data/llm")
    out = parser.parse_args().out
    with torch.no_grad():
        for name in CASES:
            make(name, out)


if __name__ == "__main__":
    main()
