"""Perplexity and bits per byte of a checkpoint folder, with the transformers library.

  python evaluate.py ../llm --tokens heldout.bin --windows 64
  python evaluate.py ../llm --text ../llm/heldout.txt

The tokens are cut into windows of <|begin_of_text|> and 1023 tokens that do not overlap; every
token but <|begin_of_text|> is predicted. Bits per byte divides by the UTF-8 bytes of the predicted
text (<|end_of_text|> between the documents of a token file costs bits but has no bytes).
"""
import argparse
import math

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

LENGTH, BEGIN = 1024, 0


def token_ids(args, tokenizer):
    if args.text:
        with open(args.text, encoding="utf8", newline="") as f:
            return tokenizer.encode(f.read(), add_special_tokens=False).ids
    return np.fromfile(args.tokens, dtype=np.uint16).tolist()


@torch.no_grad()
def total_nats(model, ids):
    total = 0.0
    for i in range(0, len(ids), LENGTH - 1):
        window = torch.tensor([[BEGIN] + ids[i:i + LENGTH - 1]])
        logits = model(input_ids=window).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text")
    source.add_argument("--tokens")
    parser.add_argument("--windows", type=int, help="only the first so many windows")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(f"{args.model}/tokenizer.json")
    model = AutoModelForCausalLM.from_pretrained(args.model).float().eval()
    ids = token_ids(args, tokenizer)
    ids = ids[:args.windows * (LENGTH - 1)] if args.windows else ids
    nats, size = total_nats(model, ids), len(tokenizer.decode(ids).encode())
    print(f"{len(ids)} tokens, {size} bytes: perplexity {math.exp(nats / len(ids)):.3f}, "
          f"{nats / math.log(2) / size:.4f} bits per byte")


if __name__ == "__main__":
    main()
