#!/usr/bin/env python3
"""Writes the reference case of the derivatives of a decoder block with learned transforms and clipping.

    python tools/make_flatquant_oracle.py tests/data/flatquant.safetensors

A random block (grouped heads, biases, RoPE), written down in PyTorch a second time; autograd in double precision gives
the output and the gradient of sum(factors * output) by every parameter, rounding passing gradients straight through.
Needs torch and safetensors.
"""
import sys

import torch
from safetensors.torch import save_file

TOKENS, HIDDEN, INNER, HEADS, KV_HEADS, DIM = 9, 16, 24, 4, 2, 4
LINEARS = {"q": (HIDDEN, HIDDEN), "k": (KV_HEADS * DIM, HIDDEN), "v": (KV_HEADS * DIM, HIDDEN), "o": (HIDDEN, HIDDEN),
           "gate": (INNER, HIDDEN), "up": (INNER, HIDDEN), "down": (HIDDEN, INNER)}  # fmt: skip
EPS, THETA, BITS = 1e-5, 10000.0, 4


class RoundWithin(torch.autograd.Function):
    """Codes within [least, most]. clamp() would block the gradient of the last codes, too."""

    @staticmethod
    def forward(context, x, least, most):
        code = x.round()
        context.save_for_backward((code >= least) & (code <= most))
        return code.clamp(least, most)

    @staticmethod
    def backward(context, gradient):
        return gradient * context.saved_tensors[0], None, None


def quantize(x, low_logit, high_logit, symmetric):
    """One grid per row of x; ends of the range times sigmoid(logit)."""
    low = x.amin(-1, keepdim=True).clamp(max=0) * torch.sigmoid(low_logit)
    high = x.amax(-1, keepdim=True).clamp(min=0) * torch.sigmoid(high_logit)
    if symmetric:
        most = 2 ** (BITS - 1) - 1
        scale = torch.maximum(-low, high) / most
        return RoundWithin.apply(x / scale, -most - 1, most) * scale
    most = 2**BITS - 1
    scale = (high - low) / most
    zero = RoundWithin.apply(-low / scale, 0, most)
    value = (RoundWithin.apply(x / scale + zero, 0, most) - zero) * scale
    # Clamped values move with the end of the range, whatever rounding did to the zero point.
    place = (x / scale + zero).round()
    end = torch.where(place < 0, low, high)
    return torch.where((place < 0) | (place > most), value.detach() + end - end.detach(), value)


def kronecker(x, left, right, scale=None):
    """Rows x -> left^T A right, A = x * scale as a matrix."""
    x = x if scale is None else x * scale
    a = x.reshape(x.shape[0], left.shape[0], right.shape[0])
    return torch.einsum("ab,nac,cd->nbd", left, a, right).reshape(x.shape)


def inverse_transposed(m):
    return torch.linalg.inv(m).T


def rms_norm(x, weight):
    return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt() * weight


def rope(x):
    """x [tokens, heads, DIM], pairs half a head apart."""
    frequencies = THETA ** (-torch.arange(0, DIM, 2, dtype=torch.float64) / DIM)
    angles = torch.arange(TOKENS, dtype=torch.float64)[:, None] * frequencies
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Block:
    def __init__(self, tensors):
        self.t = tensors

    def site(self, name, x):
        """The input of linears in its learned basis, rounded."""
        t = self.t
        right = t[f"map.{name}.right"] if name != "o" else torch.eye(DIM, dtype=torch.float64)
        mapped = kronecker(x, t[f"map.{name}.left"], right, t.get(f"map.{name}.scale"))
        return quantize(mapped, *t[f"clip.{name}"], symmetric=True)

    def linear(self, name, site, x):
        t = self.t
        weight, bias = t[f"weight.{name}"], t[f"bias.{name}"]
        if name == "v":  # the values' own basis, head by head
            basis = t["map.value.right"]
            weight = (weight.reshape(KV_HEADS, DIM, -1).transpose(1, 2) @ basis).transpose(1, 2).reshape(weight.shape)
            bias = (bias.reshape(KV_HEADS, DIM) @ basis).reshape(-1)
        right = t["map.value.right"] if site == "o" else t[f"map.{site}.right"]
        scale = 1 / t[f"map.{site}.scale"] if site != "o" else None
        mapped = kronecker(weight, inverse_transposed(t[f"map.{site}.left"]), inverse_transposed(right), scale)
        low, high = (t[f"weight_clip.{name}"][i][:, None] for i in range(2))
        return x @ quantize(mapped, low, high, symmetric=True).T + bias

    def attention(self, inputs):
        t = self.t
        q = rope(self.linear("q", "in", inputs).reshape(TOKENS, HEADS, DIM)) @ inverse_transposed(t["map.key.right"])
        k = rope(self.linear("k", "in", inputs).reshape(TOKENS, KV_HEADS, DIM)) @ t["map.key.right"]
        v = self.linear("v", "in", inputs).reshape(TOKENS, KV_HEADS, DIM)
        k, v = (quantize(x, *t[f"clip.{name}"], symmetric=False) for x, name in ((k, "key"), (v, "value")))
        k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
        scores = torch.einsum("ihd,jhd->hij", q, k) / DIM**0.5
        hidden = torch.triu(torch.ones(TOKENS, TOKENS, dtype=torch.bool), 1)
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        return torch.einsum("hij,jhd->ihd", weights, v).reshape(TOKENS, HIDDEN)

    def __call__(self, x):
        t = self.t
        attended = self.attention(self.site("in", rms_norm(x, t["norm.attention"])))
        x = x + self.linear("o", "o", self.site("o", attended))
        inputs = self.site("mlp", rms_norm(x, t["norm.mlp"]))
        gated = torch.nn.functional.silu(self.linear("gate", "mlp", inputs)) * self.linear("up", "mlp", inputs)
        return x + self.linear("down", "down", self.site("down", gated))


def random_tensors():
    def noise(*shape, size=1.0):
        return size * torch.randn(*shape, dtype=torch.float64)

    def near_orthogonal(n):
        return torch.linalg.qr(noise(n, n))[0] + noise(n, n, size=0.05)

    tensors = {"x": noise(TOKENS, HIDDEN), "factors": noise(TOKENS, HIDDEN),
               "norm.attention": 1 + noise(HIDDEN, size=0.1), "norm.mlp": 1 + noise(HIDDEN, size=0.1)}  # fmt: skip
    for name, shape in LINEARS.items():
        tensors[f"weight.{name}"] = noise(*shape, size=0.3)
        tensors[f"bias.{name}"] = noise(shape[0], size=0.1)
        tensors[f"weight_clip.{name}"] = 1.5 + noise(2, shape[0], size=0.5)
    for name, left, right in (("in", 4, 4), ("o", HEADS, 0), ("mlp", 4, 4), ("down", 4, 6), ("key", 0, DIM), ("value", 0, DIM)):
        if left:
            tensors[f"map.{name}.left"] = near_orthogonal(left)
        if right:
            tensors[f"map.{name}.right"] = near_orthogonal(right)
        if left and right:
            tensors[f"map.{name}.scale"] = 0.5 + torch.rand(left * right, dtype=torch.float64)
        tensors[f"clip.{name}"] = 1.5 + noise(2, size=0.5)
    return {name: tensor.float().double() for name, tensor in tensors.items()}


def main():
    torch.manual_seed(3)
    tensors = random_tensors()
    learned = [name for name in tensors if name.startswith(("map.", "clip.", "weight_clip."))]
    for name in learned:
        tensors[name].requires_grad_()
    output = Block(tensors)(tensors["x"])
    (output * tensors["factors"]).sum().backward()
    result = {**tensors, "output": output, **{f"gradient.{name}": tensors[name].grad for name in learned}}
    save_file({name: tensor.detach().float().contiguous() for name, tensor in result.items()}, sys.argv[1])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
