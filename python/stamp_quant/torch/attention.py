"""Causal attention over quantized K and V: a query reads its own block as computed, earlier blocks as stored."""

import math

import torch

from .token_quantizer import TokenQuantizer
from .transforms import walsh


def _rotation_order(spec, head_dim):
    if spec["bits"] == 16 or spec["rotation"] == "none":
        return 1
    return spec["quantizer"]["block"] if spec["rotation"] == "group" else head_dim & -head_dim


def _rotate(x, order):
    return walsh(x.unflatten(-1, (-1, order)), 1 / math.sqrt(order)).flatten(-2) if order > 1 else x


class KvQuantizer:
    """K and V of one layer."""

    def __init__(self, recipe, head_dim, statistics_k=None, statistics_v=None):
        self.k, self.v = TokenQuantizer(recipe["k"], statistics_k), TokenQuantizer(recipe["v"], statistics_v)
        self.k_order, self.v_order = _rotation_order(recipe["k"], head_dim), _rotation_order(recipe["v"], head_dim)
        self.block = recipe["kv_block"]

    def _stored(self, quantizer, x):
        """x [batch, heads, tokens, head_dim] as closed blocks hold it; an open block is left as it is."""
        block = self.block or x.shape[-2]
        closed = x.shape[-2] // block * block
        with_sinks = min(closed, -(-quantizer.skip // block) * block)
        parts = [
            quantizer.apply(x[..., first : first + block, :], first) for first in range(0, with_sinks, block)
        ]
        if with_sinks < closed:
            rest = x[..., with_sinks:closed, :].unflatten(-2, (-1, block))
            parts.append(quantizer.apply(rest, with_sinks).flatten(-3, -2))
        return torch.cat([*parts, x[..., closed:, :]], -2)

    def attend(self, q, k, v, mask, scaling):
        """q [batch, heads, queries, head_dim]; k, v [batch, kv heads, tokens, head_dim]; mask is added to scores."""
        queries, tokens, dtype = q.shape[-2], k.shape[-2], q.dtype
        if not self.block and queries != tokens:
            raise NotImplementedError("stamp: kv_block 0 quantizes one whole sequence and cannot continue it")
        q, k, v = _rotate(q.float(), self.k_order), _rotate(k.float(), self.k_order), _rotate(v.float(), self.v_order)
        groups = q.shape[1] // k.shape[1]
        k, k_stored, v, v_stored = (
            x.repeat_interleave(groups, 1) for x in (k, self._stored(self.k, k), v, self._stored(self.v, v))
        )
        query = torch.arange(tokens - queries, tokens, device=q.device)[:, None]
        key = torch.arange(tokens, device=q.device)
        stored = key < query // self.block * self.block if self.block else torch.ones_like(key, dtype=torch.bool)
        scores = torch.where(stored, q @ k_stored.transpose(-1, -2), q @ k.transpose(-1, -2)) * scaling
        scores = scores.masked_fill(key > query, float("-inf")) if mask is None else scores + mask[..., :tokens]
        weights = torch.softmax(scores, -1)
        out = (weights * stored) @ v_stored + (weights * ~stored) @ v
        return _rotate(out, self.v_order).to(dtype)


def stamp_attention(module, query, key, value, attention_mask, scaling, **kwargs):
    """An attention function as transformers calls them; layers without a quantizer attend to K and V as they are."""
    quantizer = module.stamp_kv
    return quantizer.attend(query, key, value, attention_mask, scaling).transpose(1, 2).contiguous(), None


def register():
    """Makes "stamp" a name of config._attn_implementation."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register("stamp", stamp_attention)
    AttentionMaskInterface.register("stamp", eager_mask)
