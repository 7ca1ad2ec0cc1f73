"""The T5 encoder as a function of its tensors, which have their Hugging Face names."""
import math

import torch
import torch.nn.functional as F

from dimensions import (BUCKETS, DISTANCE, TEXT_HEAD, TEXT_HEADS, TEXT_HIDDEN, TEXT_LAYERS,
                        TEXT_WIDTH, VOCABULARY)

INNER = TEXT_HEADS * TEXT_HEAD
BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def shapes():
    result = {"shared.weight": (VOCABULARY, TEXT_WIDTH), BIAS: (BUCKETS, TEXT_HEADS),
              "encoder.final_layer_norm.weight": (TEXT_WIDTH,)}
    for i in range(TEXT_LAYERS):
        attention, dense = (f"encoder.block.{i}.layer.{part}." for part in (0, 1))
        for name in "qkv":
            result[f"{attention}SelfAttention.{name}.weight"] = (INNER, TEXT_WIDTH)
        result[f"{attention}SelfAttention.o.weight"] = (TEXT_WIDTH, INNER)
        result[f"{dense}DenseReluDense.wi_0.weight"] = (TEXT_HIDDEN, TEXT_WIDTH)
        result[f"{dense}DenseReluDense.wi_1.weight"] = (TEXT_HIDDEN, TEXT_WIDTH)
        result[f"{dense}DenseReluDense.wo.weight"] = (TEXT_WIDTH, TEXT_HIDDEN)
        for layer in (attention, dense):
            result[f"{layer}layer_norm.weight"] = (TEXT_WIDTH,)
    return result


def initial_tensors():
    result = {}
    for name, shape in shapes().items():
        if len(shape) == 1:
            result[name] = torch.ones(shape)
        else:
            result[name] = torch.randn(shape) * (1.0 if name == "shared.weight" else
                                                 0.1 if name == BIAS else shape[1] ** -0.5)
            if ".q." in name:  # scores are not divided by the square root of the head size
                result[name] *= TEXT_HEAD ** -0.5
    return result


def buckets(length):
    """[query, key] -> index of the relative position."""
    offset = torch.arange(length)[None] - torch.arange(length)[:, None]
    half, distance = BUCKETS // 2, offset.abs()
    exact = half // 2
    far = exact + (torch.log(distance.clamp(min=1).float() / exact)
                   / math.log(DISTANCE / exact) * (half - exact)).long()
    near = torch.where(distance < exact, distance, far.clamp(max=half - 1))
    return near + half * (offset > 0)


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * weight


def encode(p, ids, mask):
    """ids, mask: [batch, length] (mask: 1 for real tokens) -> [batch, length, TEXT_WIDTH]"""
    batch, length = ids.shape
    bias = p[BIAS][buckets(length)].permute(2, 0, 1)[None]
    bias = bias + (1 - mask[:, None, None].float()) * -1e9
    x = F.embedding(ids, p["shared.weight"])
    for i in range(TEXT_LAYERS):
        attention, dense = (f"encoder.block.{i}.layer.{part}." for part in (0, 1))
        h = rms_norm(x, p[f"{attention}layer_norm.weight"])
        q, k, v = (F.linear(h, p[f"{attention}SelfAttention.{name}.weight"])
                   .view(batch, length, TEXT_HEADS, TEXT_HEAD).transpose(1, 2) for name in "qkv")
        y = torch.softmax(q @ k.transpose(2, 3) + bias, -1) @ v
        x = x + F.linear(y.transpose(1, 2).reshape(batch, length, INNER),
                         p[f"{attention}SelfAttention.o.weight"])
        h = rms_norm(x, p[f"{dense}layer_norm.weight"])
        h = (F.gelu(F.linear(h, p[f"{dense}DenseReluDense.wi_0.weight"]), approximate="tanh")
             * F.linear(h, p[f"{dense}DenseReluDense.wi_1.weight"]))
        x = x + F.linear(h, p[f"{dense}DenseReluDense.wo.weight"])
    return rms_norm(x, p["encoder.final_layer_norm.weight"])
