"""Rows of numbers on integer grids, as the library rounds them: scales are fp16 values, ties go to even."""

import torch

SMALLEST_SCALE, LARGEST_SCALE = 2.0**-24, 65504.0


def _fp16_scale(scale):
    rounded = scale.clamp(max=LARGEST_SCALE).to(torch.float16).to(torch.float32)
    return torch.where(scale > SMALLEST_SCALE, rounded, torch.full_like(rounded, SMALLEST_SCALE))


def _snap(x, bits, clip, symmetric):
    """x [..., tokens, groups, columns], each group on a grid of its own; bits and clip [tokens, 1, 1]."""
    low = x.amin(-1, keepdim=True).clamp(max=0)
    high = x.amax(-1, keepdim=True).clamp(min=0)
    if symmetric:
        top = torch.exp2(bits - 1) - 1
        scale = _fp16_scale(clip * torch.maximum(-low, high) / top)
        first, last = -top - 1, top
    else:
        top = torch.exp2(bits) - 1
        low, high = clip * low, clip * high
        scale = _fp16_scale((high - low) / top)
        zero = torch.round(torch.minimum(-low / scale, top))
        first, last = -zero, top - zero
    codes = torch.round(torch.minimum(torch.maximum(x * (1 / scale), first), last))
    return torch.where(bits > 0, codes * scale, torch.zeros_like(x))


def scale_groups(columns, group, block):
    """Widths of the runs of columns that share a scale: `group` columns (0: all), cut into runs of `block` (0: not)."""
    widths = []
    for head in range(0, columns, group or columns):
        end = min(columns, head + (group or columns))
        step = block or end - head
        widths += [min(step, end - first) for first in range(head, end, step)]
    return widths


def quantize_rows(x, bits, quantizer, group=0):
    """The reconstruction of x [..., tokens, columns] (float32) with `bits` [tokens] (float32; 0 drops a row).

    `quantizer` is that part of a recipe.
    """
    widths = scale_groups(x.shape[-1], group, quantizer["block"])
    bits = bits[:, None, None]
    clip = torch.where(bits <= 4, torch.full_like(bits, quantizer["clip"]), torch.ones_like(bits))
    if len(set(widths)) == 1:
        grouped = x.unflatten(-1, (len(widths), widths[0]))
        return _snap(grouped, bits, clip, quantizer["symmetric"]).flatten(-2)
    parts = [_snap(part[..., None, :], bits, clip, quantizer["symmetric"]) for part in x.split(widths, -1)]
    return torch.cat([part.squeeze(-2) for part in parts], -1)
