"""Muon for the hidden matrices, Adam for embeddings, tables, outputs, norms and biases."""
import torch

from half_products import product

MUON_RATE, MUON_DECAY = 0.014, 0.02
EMBEDDING_RATE, NORM_RATE = 2e-3, 2e-3
# Quintic polynomials that push all singular values towards 1, one per iteration ("Polar Express").
POLYNOMIALS = ((8.2872, -23.5959, 17.3004), (4.1071, -2.9478, 0.5448),
               (3.9487, -2.9089, 0.5518), (3.3184, -2.4885, 0.5100))
SCALES = (16.0, 16.0)
NOT_HIDDEN = ("embed_tokens", "shared", "table", "relative_attention_bias", "proj_out")


def orthogonalise(g):
    x = g.T.contiguous() if g.shape[0] > g.shape[1] else g
    x = x / (x.norm() * 1.01 + 1e-12)
    for a, b, c in POLYNOMIALS:
        s = product(x, x.T, SCALES)
        x = product(product(s, s, SCALES).mul_(c).add_(s, alpha=b), x, SCALES).add_(x, alpha=a)
    return x.T if g.shape[0] > g.shape[1] else x


def is_muon(name, parameter):
    return parameter.dim() == 2 and not any(part in name for part in NOT_HIDDEN)


def new_state(parameters):
    state = {}
    for name, p in parameters.items():
        state[f"{name}/first"] = torch.zeros_like(p)
        if not is_muon(name, p):
            state[f"{name}/second"] = torch.zeros_like(p)
    return state


@torch.no_grad()
def update(name, p, gradient, state, rate, step):
    """One step of one parameter; `rate` is the schedule's factor, `step` counts from 1."""
    first = state[f"{name}/first"]
    if is_muon(name, p):
        momentum = 0.85 + 0.10 * min(1.0, step / 200)
        first.lerp_(gradient, 1 - momentum)
        direction = orthogonalise(gradient.lerp(first, momentum))
        scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        p.mul_(1 - MUON_RATE * rate * MUON_DECAY).add_(direction, alpha=-MUON_RATE * rate * scale)
        return
    second = state[f"{name}/second"]
    first.lerp_(gradient, 0.1)
    second.lerp_(gradient.square(), 0.05)
    denominator = (second / (1 - 0.95 ** step)).sqrt_().add_(1e-10)
    size = (EMBEDDING_RATE if p.dim() == 2 else NORM_RATE) * rate / (1 - 0.9 ** step)
    p.addcdiv_(first, denominator, value=-size)
