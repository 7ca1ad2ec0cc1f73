"""Linear layers (and 1x1 convolutions) whose input is quantized along the tokens and whose weight is rounded."""

import types
import weakref

import torch
import torch.nn.functional as F

from stamp_quant import _native

from .token_quantizer import TokenQuantizer
from .transforms import Rotation


class Position:
    """Of what a model computes: the absolute position of its first token; tokens in a row of the picture (0: none)."""

    value = 0
    grid_width = 0


class Input:
    """One input shared by some linears: rotated, centered, quantized; computed once while it is the same tensor."""

    def __init__(self, spec, rotation, position, statistics=None, centers=False):
        self.quantizer = TokenQuantizer(spec, statistics)
        self.rotation, self.position = rotation, position
        self.mean = None
        if centers and self.quantizer.active and (statistics or {}).get("center"):
            self.mean = torch.tensor(statistics["mean"], dtype=torch.float32)
        self._seen = None

    def quantize(self, x):
        """x [..., tokens, columns] in the basis of the rounded weights, float32."""
        if self._seen is not None:
            tensor, *state, result = self._seen
            if tensor() is x and state == self._state(x):
                return result
        result = x.float()
        if self.rotation is not None:
            result = self.rotation.apply(result)
        if self.mean is not None:
            result = result - self.mean.to(result.device)
        result = self.quantizer.apply(result, self.position.value, grid_width=self.position.grid_width)
        self._seen = (weakref.ref(x), *self._state(x), result)
        return result

    def _state(self, x):
        return [x._version, self.position.value, self.position.grid_width]

    def bias(self, weight, head_dim):
        """What centering adds to the outputs of a weight [out, in] that is not rounded yet."""
        rotated = rounded_weight(weight.float(), {"bits": 16}, self.rotation, head_dim)
        return rotated @ self.mean.to(weight.device)


def rounded_weight(weight, spec, rotation=None, head_dim=0):
    """A weight [out, in] rotated and rounded as the library does, in the dtype and on the device of `weight`."""
    values = weight.detach().to("cpu", torch.float32).contiguous().clone().numpy()
    if rotation is not None:
        _native._rotate_weight(values, head_dim)
    if spec["bits"] < 16:
        _native.quantize_weight(values, spec, out=values)
    return torch.from_numpy(values).to(weight.device, weight.dtype)


def _bias(self):
    return self.bias if self.stamp_bias is None else self.stamp_bias


def _linear(self, x):
    y = F.linear(self.stamp_input.quantize(x).to(self.stamp_weight.dtype), self.stamp_weight, _bias(self))
    return y.to(x.dtype)


def _convolution(self, x):
    tokens = x.flatten(2).transpose(1, 2)
    y = F.linear(self.stamp_input.quantize(tokens).to(self.stamp_weight.dtype), self.stamp_weight, _bias(self))
    return y.transpose(1, 2).unflatten(2, x.shape[2:]).to(x.dtype)


def _weight_only(self, x):
    return F.linear(x, self.stamp_weight, self.bias)


def _embedding(self, ids):
    return F.embedding(ids, self.stamp_weight, self.padding_idx)


def _patch(module, forward, weight):
    module.register_buffer("stamp_weight", weight, persistent=False)
    module.forward = types.MethodType(forward, module)


def patch_linear(module, source, spec, head_dim=0):
    """`source` is an Input; `spec` the recipe's "weights"."""
    is_convolution = isinstance(module, torch.nn.Conv2d)
    weight = module.weight.flatten(1) if is_convolution else module.weight
    bias = None
    if source.mean is not None:
        bias = source.bias(weight.detach(), head_dim)
        bias = (bias if module.bias is None else module.bias.detach() + bias).to(weight.dtype)
    module.register_buffer("stamp_bias", bias, persistent=False)
    module.stamp_input = source
    _patch(module, _convolution if is_convolution else _linear,
           rounded_weight(weight, spec, source.rotation, head_dim))


def patch_table(module, spec):
    """Rounds the rows of an embedding or of an output head; inputs stay as they are."""
    forward = _embedding if isinstance(module, torch.nn.Embedding) else _weight_only
    _patch(module, forward, rounded_weight(module.weight, spec))


def unpatch(module):
    for name in ("forward", "stamp_input", "stamp_kv"):
        module.__dict__.pop(name, None)
    for name in ("stamp_weight", "stamp_bias"):
        if name in module._buffers:
            delattr(module, name)
