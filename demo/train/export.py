"""Write a bf16 checkpoint in the usual layout.

  python export.py run/final.safetensors ../llm
"""
import argparse
import json
import pathlib

import torch
from safetensors.torch import load_file, save_file

from shape import EPSILON, HEAD, HEADS, HIDDEN, KV_HEADS, LAYERS, THETA, VOCABULARY, WIDTH

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 0, "eos_token_id": 1, "head_dim": HEAD, "hidden_act": "silu",
    "hidden_size": WIDTH, "initializer_range": 0.02, "intermediate_size": HIDDEN,
    "max_position_embeddings": 2048, "mlp_bias": False, "model_type": "llama",
    "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "num_key_value_heads": KV_HEADS,
    "pretraining_tp": 1, "rms_norm_eps": EPSILON, "rope_scaling": None, "rope_theta": THETA,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
    "vocab_size": VOCABULARY}
GENERATION = {"bos_token_id": 0, "eos_token_id": 1}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    tensors = {n: t.to(torch.bfloat16).contiguous() for n, t in load_file(args.weights).items()}
    args.out.mkdir(parents=True, exist_ok=True)
    part = args.out / "model.safetensors.part"
    save_file(tensors, part, metadata={"format": "pt"})
    part.rename(args.out / "model.safetensors")
    write_json(args.out / "config.json", CONFIG)
    write_json(args.out / "generation_config.json", GENERATION)


if __name__ == "__main__":
    main()
