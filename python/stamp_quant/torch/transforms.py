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
    def __init__(self, tokens, levels, grid_width):
        self.rows = range(tokens)

    def forward(self, x):
        return x

    inverse = forward


class Haar:
    """Rows stay where lifting leaves them: row t of the result is row rows[t] of L x."""

    def __init__(self, tokens, levels, grid_width):
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

    def __init__(self, tokens, levels, grid_width):
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

    def __init__(self, tokens, levels, grid_width):
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


def grid_of(tokens, width):
    """Height and width of the grid of tokens; width 0: the most nearly square one, at least as wide as high."""
    if not width:
        width = math.isqrt(tokens - 1) + 1
        while tokens % width:
            width += 1
    if tokens % width:
        raise ValueError(f"stamp: {tokens} tokens do not fill rows of {width}; grid_width must divide them")
    return tokens // width, width


def _butterfly(x, axis):
    """One Haar level of neighbours along `axis`, in place; the last one of an odd number stays."""
    x = x.movedim(axis, 0)
    even = x.shape[0] // 2 * 2
    left, right = x[0:even:2], x[1:even:2]
    total, difference = (left + right) * HALF_SQRT2, (left - right) * HALF_SQRT2
    left.copy_(total)
    right.copy_(difference)


class Haar2d:
    """Haar along the width and then the height of the approximation, level by level; rows stay in their places."""

    def __init__(self, tokens, levels, grid_width):
        self.grid = grid_of(tokens, grid_width)
        self.levels = min(levels, math.ceil(math.log2(max(self.grid))))
        places, bands = torch.arange(tokens).unflatten(0, self.grid), []
        for _ in range(self.levels):  # high-pass along the height, the width, both
            bands = [places[1::2, ::2], places[::2, 1::2], places[1::2, 1::2], *bands]
            places = places[::2, ::2]
        rows = torch.empty(tokens, dtype=torch.long)
        rows[torch.cat([band.flatten() for band in (places, *bands)])] = torch.arange(tokens)
        self.rows = rows.tolist()

    def _lines(self, x, level):
        return x[..., :: 1 << level, :: 1 << level, :]

    def forward(self, x):
        x = x.unflatten(-2, self.grid).clone()
        for level in range(self.levels):
            _butterfly(self._lines(x, level), -2)
            _butterfly(self._lines(x, level), -3)
        return x.flatten(-3, -2)

    def inverse(self, x):
        x = x.unflatten(-2, self.grid).clone()
        for level in reversed(range(self.levels)):
            _butterfly(self._lines(x, level), -3)
            _butterfly(self._lines(x, level), -2)
        return x.flatten(-3, -2)


class Dct2d:
    """DCT-II along both axes of the grid; rows stay in their places, row rows[t] of L x in ascending frequency."""

    def __init__(self, tokens, levels, grid_width):
        self.grid = height, width = grid_of(tokens, grid_width)
        self.along_height, self.along_width = Dct(height, 0, 0), Dct(width, 0, 0)
        order = sorted(range(tokens), key=lambda place: place // width * width + place % width * height)
        self.rows = [0] * tokens
        for row, place in enumerate(order):
            self.rows[place] = row

    def forward(self, x):
        x = self.along_width.forward(x.unflatten(-2, self.grid))
        return self.along_height.forward(x.transpose(-2, -3)).transpose(-2, -3).flatten(-3, -2)

    def inverse(self, x):
        x = self.along_width.inverse(x.unflatten(-2, self.grid))
        return self.along_height.inverse(x.transpose(-2, -3)).transpose(-2, -3).flatten(-3, -2)


TRANSFORMS = {"identity": Identity, "haar": Haar, "haar2d": Haar2d, "dct": Dct, "dct2d": Dct2d, "wht": Wht}
