"""Training windows without replacement, and held-out perplexity."""
import math

import numpy as np
import torch

BOS = 0


class Sampler:
    """Windows of BOS and length - 1 tokens, least visited stretches first, equals at random."""
    GRAIN = 64

    def __init__(self, data):
        self.data, self.length, self.order, self.cursor, self.rounds = data, 0, None, 0, 0
        self.visits = np.zeros(len(data) // self.GRAIN + 1, dtype=np.uint8)

    def renew(self, length):
        rng = np.random.default_rng(1234 + self.rounds)
        step = length - 1
        starts = np.arange(rng.integers(0, step), len(self.data) - step, step)
        sums = np.concatenate(([0], np.cumsum(self.visits, dtype=np.int64)))
        low, high = starts // self.GRAIN, (starts + step) // self.GRAIN
        visits = np.round(2 * (sums[high] - sums[low]) / (high - low))
        self.order = starts[np.argsort(visits + 0.4 * rng.random(len(starts)))]
        self.length, self.cursor, self.rounds = length, 0, self.rounds + 1

    def batch(self, length, count):
        if self.length != length or self.cursor + count > len(self.order):
            self.renew(length)
        chosen = self.order[self.cursor:self.cursor + count]
        self.cursor += count
        for start in chosen:
            self.visits[start // self.GRAIN:(start + length - 1) // self.GRAIN] += 1
        return windows(self.data, chosen, length)

    def state(self):
        return {"visits": self.visits, "rounds": self.rounds}

    def restore(self, state):
        self.visits, self.rounds = state["visits"], state["rounds"]


def windows(data, starts, length):
    rows = np.full((len(starts), length), BOS, dtype=np.int64)
    for row, start in zip(rows, starts):
        row[1:] = data[start:start + length - 1]
    return torch.from_numpy(rows)


@torch.no_grad()
def perplexity(model, data, count, length=1024, at_once=3):
    """Over the first `count` windows of BOS and length - 1 tokens, all of which are predicted."""
    total, step = 0.0, length - 1
    for i in range(0, count, at_once):
        starts = range(i * step, (i + at_once) * step, step)
        total += model.loss(windows(data, starts, length)).item()
    return math.exp(total * at_once / count)
