"""The language model: Llama architecture, tensors under their Hugging Face names."""
import torch
import torch.nn.functional as F

from half_products import Attention, HeadLoss, Linear
from shape import EPSILON, HEAD, HEADS, HIDDEN, KV_HEADS, LAYERS, THETA, VOCABULARY, WIDTH

LAYER_SHAPES = {
    "input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,),
    "self_attn.q_proj": (HEADS * HEAD, WIDTH), "self_attn.o_proj": (WIDTH, HEADS * HEAD),
    "self_attn.k_proj": (KV_HEADS * HEAD, WIDTH), "self_attn.v_proj": (KV_HEADS * HEAD, WIDTH),
    "mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH),
    "mlp.down_proj": (WIDTH, HIDDEN)}
EMBEDDING, LAST_NORM = "model.embed_tokens.weight", "model.norm.weight"


def rms_norm(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


def add_norm(x, y, weight):
    x = x + y
    return x, rms_norm(x, weight)


def swiglu(h):
    gate, up = h.chunk(2, dim=-1)
    return F.silu(gate) * up


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def split_heads(h, cos, sin, batch, length):
    h = h.view(batch, length, HEADS + 2 * KV_HEADS, HEAD).transpose(1, 2)
    q, k, v = h.split((HEADS, KV_HEADS, KV_HEADS), dim=1)
    return rotate(q, cos, sin).contiguous(), rotate(k, cos, sin).contiguous(), v.contiguous()


rms_norm_c, add_norm_c, swiglu_c, split_heads_c = (
    torch.compile(f, dynamic=True) for f in (rms_norm, add_norm, swiglu, split_heads))


def shapes():
    result = {EMBEDDING: (VOCABULARY, WIDTH), LAST_NORM: (WIDTH,)}
    for i in range(LAYERS):
        for part, shape in LAYER_SHAPES.items():
            result[f"model.layers.{i}.{part}.weight"] = shape
    return result


def initial_tensors():
    return {name: torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02
            for name, shape in shapes().items()}


class Model:
    def __init__(self, tensors):
        """`tensors` (fp32) are used in place, so they may live in shared memory."""
        self.parameters = {name: tensors[name].requires_grad_() for name in shapes()}
        self.angles = {}

    def rotations(self, length):
        if length not in self.angles:
            frequencies = THETA ** (-torch.arange(0, HEAD, 2).float() / HEAD)
            angle = torch.arange(length).float()[:, None] * frequencies
            self.angles[length] = angle.cos(), angle.sin()
        return self.angles[length]

    def loss(self, ids):
        """Mean cross entropy (nats) of ids[:, 1:] given what precedes."""
        p, inputs = self.parameters, ids[:, :-1]
        batch, length = inputs.shape
        cos, sin = self.rotations(length)
        x = F.embedding(inputs.reshape(-1), p[EMBEDDING])
        h = rms_norm_c(x, p["model.layers.0.input_layernorm.weight"])
        for i in range(LAYERS):
            w = lambda part: p[f"model.layers.{i}.{part}.weight"]  # noqa: E731
            qkv = torch.cat([w(f"self_attn.{name}_proj") for name in "qkv"])
            q, k, v = split_heads_c(Linear.apply(h, qkv), cos, sin, batch, length)
            mixed = Attention.apply(q, k, v, True).view(-1, HEADS * HEAD)
            y = Linear.apply(mixed, w("self_attn.o_proj"))
            x, h = add_norm_c(x, y, w("post_attention_layernorm"))
            y = swiglu_c(Linear.apply(h, torch.cat((w("mlp.gate_proj"), w("mlp.up_proj")))))
            after = LAST_NORM if i == LAYERS - 1 else f"model.layers.{i + 1}.input_layernorm.weight"
            x, h = add_norm_c(x, Linear.apply(y, w("mlp.down_proj")), p[after])
        return HeadLoss.apply(h, p[EMBEDDING], ids[:, 1:].reshape(-1))
