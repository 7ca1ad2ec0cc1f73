"""x^ = L^-1 Q(L x) along the tokens of one tensor."""

import functools

import torch

from stamp_quant import _native

from .rows import quantize_rows
from .transforms import TRANSFORMS

SINK_BITS = 8


class TokenQuantizer:
    """`spec` is a recipe's "activations", "k" or "v"; `statistics` what Model.statistics has for this tensor."""

    def __init__(self, spec, statistics=None):
        statistics = statistics or {}
        spec = {key: spec[key] for key in ("bits", "quantizer", "sequence", "plan")}
        if spec["sequence"]["skip_tokens"] < 0:
            spec["sequence"] = spec["sequence"] | {"skip_tokens": statistics.get("skip_tokens", 0)}
        self.spec = spec
        self.active = spec["bits"] < 16
        self.skip = 0 if spec["sequence"]["transform"] == "identity" else spec["sequence"]["skip_tokens"]
        self.range2 = statistics.get("range2", [])
        self._native(0)  # complains about settings that cannot work
        self._plan = functools.lru_cache(maxsize=64)(self._make_plan)

    def _native(self, grid_width):
        sequence = self.spec["sequence"] | {"grid_width": grid_width or self.spec["sequence"]["grid_width"]}
        return _native.Quantizer(self.spec | {"sequence": sequence}, self.range2), sequence["grid_width"]

    def _make_plan(self, tokens, sinks, device, grid_width):
        native, width = self._native(grid_width)
        transform = TRANSFORMS[self.spec["sequence"]["transform"]](tokens, native.levels(tokens), width)
        widths = torch.tensor(native.widths(tokens, sinks), dtype=torch.float32)
        return transform, widths[list(transform.rows)].to(device)

    def apply(self, x, position=0, group=0, grid_width=0):
        """The reconstruction of x [..., tokens, columns] (float32), whose first row is token `position`.

        Two-dimensional transforms see rows of `grid_width` tokens (0: as the recipe says).
        """
        if not self.active:
            return x
        length, done = self.spec["sequence"]["block_tokens"], 0
        blocks = []
        while done < x.shape[-2]:
            room = length - (position + done) % length if length else x.shape[-2]
            block = x[..., done : done + room, :]
            sinks = min(max(self.skip - position - done, 0), block.shape[-2])
            blocks.append(self._apply_block(block, sinks, group, grid_width))
            done += room
        return torch.cat(blocks, -2) if len(blocks) > 1 else blocks[0]

    def _apply_block(self, x, sinks, group, grid_width):
        quantizer, tokens = self.spec["quantizer"], x.shape[-2]
        kept = x[..., :sinks, :]
        kept = quantize_rows(kept, torch.full((sinks,), float(SINK_BITS), device=x.device), quantizer, group)
        if sinks == tokens:
            return kept
        transform, bits = self._plan(tokens, sinks, x.device, grid_width)
        covered = torch.cat([x[..., sinks : sinks + 1, :].expand_as(kept), x[..., sinks:, :]], -2)
        y = transform.inverse(quantize_rows(transform.forward(covered), bits, quantizer, group))
        return torch.cat([kept, y[..., sinks:, :]], -2)
