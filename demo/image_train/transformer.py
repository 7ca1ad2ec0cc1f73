"""The PixArt-Sigma transformer as a function of its tensors, which have their diffusers names."""
import functools
import math

import torch
import torch.nn.functional as F
from half_products import Attention, Linear

from dimensions import (HEAD, HEADS, HIDDEN, LATENT, LAYERS, OUT, PATCH, PATCHES, TEXT_WIDTH,
                        TOKENS, WIDTH)

TIME = "adaln_single.emb.timestep_embedder."
TIME_FEATURES = 256


def shapes():
    linears = {f"{TIME}linear_1": (WIDTH, TIME_FEATURES), f"{TIME}linear_2": (WIDTH, WIDTH),
               "adaln_single.linear": (6 * WIDTH, WIDTH),
               "caption_projection.linear_1": (WIDTH, TEXT_WIDTH),
               "caption_projection.linear_2": (WIDTH, WIDTH),
               "proj_out": (PATCH * PATCH * OUT, WIDTH)}
    result = {"pos_embed.proj.weight": (WIDTH, LATENT, PATCH, PATCH),
              "pos_embed.proj.bias": (WIDTH,), "scale_shift_table": (2, WIDTH)}
    for i in range(LAYERS):
        block = f"transformer_blocks.{i}."
        result[f"{block}scale_shift_table"] = (6, WIDTH)
        for attention in ("attn1", "attn2"):
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                linears[f"{block}{attention}.{part}"] = (WIDTH, WIDTH)
        linears[f"{block}ff.net.0.proj"] = (HIDDEN, WIDTH)
        linears[f"{block}ff.net.2"] = (WIDTH, HIDDEN)
    for name, shape in linears.items():
        result[f"{name}.weight"], result[f"{name}.bias"] = shape, shape[:1]
    return result


def initial_tensors():
    result = {}
    for name, shape in shapes().items():
        deviation = 0.02
        if name.endswith(".bias") or name.startswith("proj_out") or "attn2.to_out" in name:
            deviation = 0.0
        elif name.endswith("table"):
            deviation = WIDTH ** -0.5
        elif name == "pos_embed.proj.weight":
            deviation = (LATENT * PATCH * PATCH) ** -0.5
        result[name] = torch.randn(shape) * deviation
    return result


@functools.cache
def positions():
    """[TOKENS, WIDTH]: the first half of the width encodes the column, the second the row."""
    frequencies = 10000.0 ** (-torch.arange(WIDTH // 4, dtype=torch.float64) / (WIDTH // 4))
    angle = torch.arange(PATCHES, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat((angle.sin(), angle.cos()), 1).float()
    return torch.cat((line.repeat(PATCHES, 1), line.repeat_interleave(PATCHES, 0)), 1)


def time_features(times):
    half = TIME_FEATURES // 2
    angle = times[:, None].float() * torch.exp(-math.log(10000) / half * torch.arange(half))
    return torch.cat((angle.cos(), angle.sin()), 1)


def layer_norm(x):
    x = x - x.mean(-1, keepdim=True)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def modulate(x, shift, scale):
    return layer_norm(x) * (1 + scale) + shift


def add(x, y, bias, gate):
    return x + gate * (y.view(x.shape) + bias)


def add_modulate(x, y, bias, gate, shift, scale):
    x = add(x, y, bias, gate)
    return x, modulate(x, shift, scale)


def gelu(h, bias):
    return F.gelu(h + bias, approximate="tanh")


def split_heads(h, bias, batch):
    h = (h + bias).view(batch, -1, bias.shape[0] // HEAD, HEAD).transpose(1, 2)
    return tuple(x.contiguous() for x in h.split(HEADS, dim=1))


modulate_c, add_c, add_modulate_c, gelu_c, split_heads_c = (
    torch.compile(f, dynamic=False) for f in (modulate, add, add_modulate, gelu, split_heads))


def bias_of(p, name):
    """A key's bias changes no attention; its gradient would be rounding noise."""
    bias = p[f"{name}.bias"]
    return bias.detach() if "to_k" in name else bias


def denoise(p, latents, times, text, mask):
    """The noise in `latents` [batch, 4, 32, 32]; text [batch, length, TEXT_WIDTH], mask 0 or 1."""
    w = lambda name: p[f"{name}.weight"]  # noqa: E731
    b = lambda name: bias_of(p, name)     # noqa: E731
    linear = lambda h, name: F.linear(h, w(name), b(name))  # noqa: E731
    product = lambda h, name: Linear.apply(h.view(-1, h.shape[-1]), w(name))  # noqa: E731
    batch = latents.shape[0]
    patches = latents.view(batch, LATENT, PATCHES, PATCH, PATCHES, PATCH).permute(0, 2, 4, 1, 3, 5)
    x = F.linear(patches.reshape(batch, TOKENS, -1), w("pos_embed.proj").view(WIDTH, -1),
                 b("pos_embed.proj")) + positions()
    e = linear(F.silu(linear(time_features(times), f"{TIME}linear_1")), f"{TIME}linear_2")
    common = linear(F.silu(e), "adaln_single.linear").view(batch, 6, 1, WIDTH)
    h = F.gelu(linear(text, "caption_projection.linear_1"), approximate="tanh")
    caption = linear(h, "caption_projection.linear_2").view(-1, WIDTH)
    bias = (1 - mask[:, None, None].float()) * -10000.0
    modulations = [(common + p[f"transformer_blocks.{i}.scale_shift_table"][:, None]).unbind(1)
                   for i in range(LAYERS)]
    last = (e[:, None, None] + p["scale_shift_table"][:, None]).unbind(1)
    one = torch.ones(())
    h = modulate_c(x, *modulations[0][:2])
    for i in range(LAYERS):
        _, _, gate, ff_shift, ff_scale, ff_gate = modulations[i]
        after = modulations[i + 1][:2] if i + 1 < LAYERS else last
        name = f"transformer_blocks.{i}."
        qkv = [f"{name}attn1.to_{part}" for part in "qkv"]
        y = Linear.apply(h.view(-1, WIDTH), torch.cat([w(part) for part in qkv]))
        q, k, v = split_heads_c(y, torch.cat([b(part) for part in qkv]), batch)
        y = Attention.apply(q, k, v, False)
        x = add_c(x, product(y.view(-1, WIDTH), f"{name}attn1.to_out.0"),
                  b(f"{name}attn1.to_out.0"), gate)
        q, = split_heads_c(product(x, f"{name}attn2.to_q"), b(f"{name}attn2.to_q"), batch)
        k, v = (linear(caption, f"{name}attn2.to_{part}").view(batch, -1, HEADS, HEAD)
                .transpose(1, 2) for part in "kv")
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2)
        y = product(y.reshape(-1, WIDTH), f"{name}attn2.to_out.0")
        x, h = add_modulate_c(x, y, b(f"{name}attn2.to_out.0"), one, ff_shift, ff_scale)
        h = gelu_c(product(h, f"{name}ff.net.0.proj"), b(f"{name}ff.net.0.proj"))
        x, h = add_modulate_c(x, product(h, f"{name}ff.net.2"), b(f"{name}ff.net.2"), ff_gate,
                              *after)
    y = linear(h, "proj_out").view(batch, PATCHES, PATCHES, PATCH, PATCH, OUT)[..., :LATENT]
    return y.permute(0, 5, 1, 3, 2, 4).reshape(latents.shape)
