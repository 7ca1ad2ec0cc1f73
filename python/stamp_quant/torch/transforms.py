"""Transforms of rows and columns in the library's order of operations, so that codes come out the same."""

import math

import torch

from stamp_quant import _native

HALF_SQRT2 = 0.70710678118654752440


def walsh(x, scale):
    """Sylvester-Hadamard of the last axis (a power of two), times `scale`."""
    size, half = x.shape[-1], 1
    while half < size:
        a, b = x.unflatten(-1, (-1, 2, half)).unbind(-2)
        x = torch.stack((a + b, a - b), -2).flatten(-3)
        half *= 2
    return x * scale


class Rotation:
    """The Hadamard rotation of features that a recipe's "hadamard" means for so many columns."""

    def __init__(self, columns, head_dim=0):
        self.order, self.odd, factor = _native._hadamard_parts(columns, head_dim)
        self.factor = torch.from_numpy(factor).T

    def apply(self, x):
        """x R for x [..., columns] (float32)."""
        width = self.order // self.odd
        scale = 1 / math.sqrt(self.order)
        parts = walsh(x.unflatten(-1, (-1, self.odd, width)), scale)
        if self.odd > 1:
            factor, total = self.factor.to(x.device), torch.zeros_like(parts)
            for i in range(self.odd):
                total = total + factor[:, i, None] * parts[..., i : i + 1, :]
            parts = total
        return parts.flatten(-3)


class Identity:
    def __init__(self, tokens, levels):
        self.rows = range(tokens)

    def forward(self, x):
        return x

    inverse = forward


class Haar:
    """Rows stay where lifting leaves them: row t of the result is row rows[t] of L x."""

    def __init__(self, tokens, levels):
        self.levels = min(levels, math.ceil(math.log2(tokens)))
        self.rows = [self._row(t, tokens) for t in range(tokens)]

    def _row(self, token, tokens):
        passed = (token & -token).bit_length() - 1 if token else self.levels
        if passed >= self.levels:
            return token >> self.levels
        size = 2 << passed
        return -(-tokens // size) + token // size

    def _butterflies(self, x, levels):
        x = x.clone()
        for level in levels:
            step = 1 << level
            left, right = x[..., :-step : 2 * step, :], x[..., step :: 2 * step, :]
            total, difference = (left + right) * HALF_SQRT2, (left - right) * HALF_SQRT2
            left.copy_(total)
            right.copy_(difference)
        return x

    def forward(self, x):
        return self._butterflies(x, range(self.levels))

    def inverse(self, x):
        return self._butterflies(x, reversed(range(self.levels)))


class Dct:
    """Orthonormal DCT-II by a product with its matrix, in fp64 where the device has it."""

    def __init__(self, tokens, levels):
        self.rows = range(tokens)
        i = torch.arange(tokens, dtype=torch.float64)
        self.matrix = torch.cos(math.pi * i[:, None] * (2 * i + 1) / (2 * tokens)) * math.sqrt(2 / tokens)
        self.matrix[0] *= math.sqrt(0.5)

    def _multiply(self, matrix, x):
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        return (matrix.to(x.device, wide) @ x.to(wide)).to(x.dtype)

    def forward(self, x):
        return self._multiply(self.matrix, x)

    def inverse(self, x):
        return self._multiply(self.matrix.T, x)


class Wht:
    """Walsh-Hadamard in sequency order; lengths that are no power of two in blocks of powers of two."""

    def __init__(self, tokens, levels):
        self.rows = range(tokens)
        self.blocks = [1 << bit for bit in reversed(range(tokens.bit_length())) if tokens >> bit & 1]
        order, first = [], 0
        for block in self.blocks:
            bits = block.bit_length() - 1
            for changes in range(block):
                gray = changes ^ changes >> 1
                mirrored = int(f"{gray:0{bits}b}"[::-1], 2) if bits else 0
                order.append((changes / block, first + mirrored, 1 / math.sqrt(block)))
            first += block
        order.sort(key=lambda entry: entry[0])  # stable: larger blocks first
        self.source = torch.tensor([entry[1] for entry in order])
        self.scale = torch.tensor([entry[2] for entry in order], dtype=torch.float32)[:, None]

    def _natural(self, x):
        parts = x.split(self.blocks, -2)
        return torch.cat([walsh(part.transpose(-1, -2), 1.0).transpose(-1, -2) for part in parts], -2)

    def forward(self, x):
        return self._natural(x)[..., self.source.to(x.device), :] * self.scale.to(x.device)

    def inverse(self, x):
        natural = torch.empty_like(x)
        natural[..., self.source.to(x.device), :] = x * self.scale.to(x.device)
        return self._natural(natural)


TRANSFORMS = {"identity": Identity, "haar": Haar, "dct": Dct, "wht": Wht}
