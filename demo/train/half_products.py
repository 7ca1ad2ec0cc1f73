"""Half-precision kernels (native/*.cpp) as autograd functions; fp32 tensors in and out."""
import ctypes
import os

import torch

FOLDER = os.path.dirname(os.path.abspath(__file__))
LIBRARY = ctypes.CDLL(os.path.join(FOLDER, "native", "libnative.so"))
POINTER, LONG, FLAG = ctypes.c_void_p, ctypes.c_long, ctypes.c_int
NUMBER = ctypes.c_float
OPERAND = [POINTER, LONG, FLAG, NUMBER]
LIBRARY.hgemm.argtypes = [LONG] * 3 + OPERAND + OPERAND + [POINTER, LONG, FLAG]
LIBRARY.cross_entropy.argtypes = [POINTER, LONG, LONG, POINTER, NUMBER]
LIBRARY.cross_entropy.restype = ctypes.c_double
LIBRARY.attention_forward.argtypes = [LONG] * 4 + [FLAG] + [POINTER] * 5
LIBRARY.attention_backward.argtypes = [LONG] * 4 + [FLAG] + [POINTER] * 9


def pointers(*tensors):
    return [x.data_ptr() for x in tensors]


def layout(x):
    """(pitch, is transposed) of a matrix that has one stride of 1."""
    return (x.stride(0), 0) if x.stride(1) == 1 else (x.stride(1), 1)


def product(a, b, scales=(1.0, 1.0), out=None, accumulate=False):
    """a @ b; the columns of b must be a multiple of 64.

    The operands are multiplied by `scales` on their way to fp16 (and the result divided by them),
    to keep small values clear of fp16's lower end; 128 products must sum to less than 65504.
    """
    out = torch.empty(a.shape[0], b.shape[1]) if out is None else out
    LIBRARY.hgemm(a.shape[0], b.shape[1], a.shape[1],
                  a.data_ptr(), *layout(a), scales[0], b.data_ptr(), *layout(b), scales[1],
                  out.data_ptr(), out.stride(0), int(accumulate))
    return out


class Linear(torch.autograd.Function):
    WEIGHT, GRADIENT = 8.0, 32.0  # the gradient's is per row, because the loss is a mean over rows

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return product(x, weight.T, (1.0, Linear.WEIGHT))

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        gradient, scale = gradient.contiguous(), Linear.GRADIENT * x.shape[0]
        return (product(gradient, weight, (scale, Linear.WEIGHT)),
                product(gradient.T, x, (scale, 1.0)))


class Attention(torch.autograd.Function):
    """q, k, v [batch, heads, length, 64] (k and v fewer) -> [batch, length, heads, 64]."""

    @staticmethod
    def forward(ctx, q, k, v, causal):
        batch, heads, length, size = q.shape
        out, log_sums = torch.empty(batch, length, heads, size), torch.empty(batch, heads, length)
        LIBRARY.attention_forward(batch, heads, k.shape[1], length, causal,
                                  *pointers(q, k, v, out, log_sums))
        ctx.causal = causal
        ctx.save_for_backward(q, k, v, out, log_sums)
        return out

    @staticmethod
    def backward(ctx, gradient):
        q, k, v = ctx.saved_tensors[:3]
        gradient = gradient.contiguous()
        result = tuple(torch.empty_like(x) for x in (q, k, v))
        LIBRARY.attention_backward(q.shape[0], q.shape[1], k.shape[1], q.shape[2], ctx.causal,
                                   *pointers(*ctx.saved_tensors, gradient, *result))
        return *result, None


class HeadLoss(torch.autograd.Function):
    """Mean cross entropy of the tied head, in chunks of rows; its gradients are made on the way."""
    CHUNK = 1024

    @staticmethod
    def forward(ctx, hidden, embedding, targets):
        weight, total, scale = embedding.detach(), 0.0, 1.0 / hidden.shape[0]
        hidden_gradient, weight_gradient = torch.empty_like(hidden), torch.zeros_like(weight)
        for i in range(0, hidden.shape[0], HeadLoss.CHUNK):
            rows, wanted = hidden[i:i + HeadLoss.CHUNK], targets[i:i + HeadLoss.CHUNK]
            logits = product(rows, weight.T, (1.0, Linear.WEIGHT))
            total += LIBRARY.cross_entropy(logits.data_ptr(), *logits.shape, wanted.data_ptr(),
                                           scale)
            up = 8.0 / scale  # from here on `logits` holds the gradient
            product(logits, weight, (up, Linear.WEIGHT), hidden_gradient[i:i + HeadLoss.CHUNK])
            product(logits.T, rows, (up, 1.0), weight_gradient, accumulate=True)
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return torch.tensor(total * scale)

    @staticmethod
    def backward(ctx, _):
        return *ctx.saved_tensors, None
