#!/usr/bin/env python3
"""Times one linear of PyTorch: int8 codes given (the quantized operator), or bf16."""
import torch
from child import arguments, finish, time_passes


def int8_pass(rows, in_dim, out_dim):
    # With another zero point than 0 this operator runs oneDNN's reference loop, a thousand times slower.
    x = torch.quantize_per_tensor(torch.rand(rows, in_dim), 0.004, 0, torch.quint8)
    weight = torch.quantize_per_channel(
        torch.randn(out_dim, in_dim), torch.full((out_dim,), 0.02), torch.zeros(out_dim, dtype=torch.long), 0,
        torch.qint8)  # fmt: skip
    packed = torch.ops.quantized.linear_prepack(weight, None)
    return lambda: torch.ops.quantized.linear(x, packed, 1.0, 128)


def bf16_pass(rows, in_dim, out_dim):
    x = torch.randn(rows, in_dim).bfloat16()
    weight = torch.randn(out_dim, in_dim).bfloat16()
    return lambda: torch.nn.functional.linear(x, weight)


def main():
    options = arguments(__doc__)
    torch.set_num_threads(options.threads)
    torch.backends.quantized.engine = "onednn"
    with torch.inference_mode():
        one_pass = {"int8": int8_pass, "bf16": bf16_pass}[options.kind](*options.linear)
        seconds = time_passes(one_pass, options.runs)
    finish(seconds, version="PyTorch " + torch.__version__)


if __name__ == "__main__":
    main()
