"""Train text encoder and transformer together; goes on from --out by the same command.

  python train.py --data run --out run/model [--cooldown STEPS] [--minutes 4]

Two worker processes share the parameters: each takes half of every batch on one core, then updates
half of the parameters. The rate is constant, so that a run can be stopped at any time and the
average of its weights used; --cooldown lowers it to zero over the next STEPS steps and ends there.
"""
import argparse
import json
import os
import pathlib
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "train"))

import numpy as np
import torch
import torch.multiprocessing as mp
from transformers import T5Tokenizer

import optimizer
import pictures
import text_encoder
import transformer
from dimensions import BETA_FIRST, BETA_LAST, END, LENGTH, PAD, TIMES

WORKERS, BATCH, RATE, WARMUP, CLIP, EMA = 2, 48, 0.6, 100, 1.0, 0.999  # RATE: of optimizer.py's
NO_PROMPT, SAVE_SECONDS = 0.1, 240
HIGHEST_SNR, HIGHEST_GAIN = 5.0, 20.0
TEXT, IMAGE = "text_encoder/", "transformer/"
COMMON = 20  # times a picture of a name in prompts.txt or heldout.txt is shown per pass
PROMPTS = pathlib.Path(__file__).resolve().parent.parent / "image"


def initial_tensors():
    return {prefix + name: tensor for prefix, module in ((TEXT, text_encoder), (IMAGE, transformer))
            for name, tensor in module.initial_tensors().items()}


def part(tensors, prefix):
    return {n[len(prefix):]: t for n, t in tensors.items() if n.startswith(prefix)}


def common_names():
    """Names in the bundled lists of prompts, whatever their background."""
    lines = {line for file in ("prompts.txt", "heldout.txt")
             for line in (PROMPTS / file).read_text().splitlines()}
    return {name for name in pictures.emoji() for background in pictures.BACKGROUNDS
            for small in (False, True) if pictures.prompt(name, background, small) in lines}


class Data:
    """Latents with the token ids of all their prompts."""

    def __init__(self, folder):
        self.latents = np.load(f"{folder}/latents.npy", mmap_mode="r")
        tokenizer = T5Tokenizer.from_pretrained(f"{folder}/tokenizer")
        variants = json.load(open(f"{folder}/variants.json"))
        texts = [pictures.wordings(*variant) for variant in variants]
        ids = tokenizer([text for group in texts for text in group]).input_ids
        common = common_names()
        self.shown = np.repeat(np.arange(len(variants)),
                               [COMMON if name in common else 1 for name, *_ in variants])
        self.empty, self.prompts, start = tokenizer("").input_ids, [], 0
        for group in texts:
            self.prompts.append(ids[start:start + len(group)])
            start += len(group)

    def batch(self, step, rank):
        """This worker's half of batch `step`: passes over self.shown, times stratified."""
        count = len(self.shown)
        places = np.arange(step * BATCH, (step + 1) * BATCH)
        orders = {p: np.random.default_rng(p).permutation(count) for p in set(places // count)}
        chosen = [self.shown[orders[p // count][p % count]] for p in places][rank::WORKERS]
        generator = np.random.default_rng([step, rank])
        ids = torch.full((len(chosen), LENGTH), PAD)
        for row, i in zip(ids, chosen):
            options = self.prompts[i]
            prompt = options[generator.integers(len(options))]
            prompt = self.empty if generator.random() < NO_PROMPT else prompt
            row[:len(prompt)] = torch.tensor(prompt)
        mask = (torch.cumsum(ids == END, 1) == 0) | (ids == END)
        strata = generator.permutation(len(chosen)) + generator.random(len(chosen))
        times = torch.from_numpy((strata / len(chosen) * TIMES).astype(np.int64))
        latents = torch.from_numpy(self.latents[np.array(chosen)].astype(np.float32))
        noise = generator.standard_normal(latents.shape, dtype=np.float32)
        return latents, torch.from_numpy(noise), times, ids, mask.long()


def signal_levels():
    """Cumulative product of 1 - beta per time."""
    return torch.cumprod(1 - torch.linspace(BETA_FIRST, BETA_LAST, TIMES), 0)


def loss(tensors, latents, noise, times, ids, mask):
    """(weighted, plain) mean squared error of the noise. Small noise weighs less ("min-SNR"), large
    noise more (as it does for a model of the velocity), because there shapes are decided."""
    level = signal_levels()[times]
    noisy = (level.sqrt()[:, None, None, None] * latents
             + (1 - level).sqrt()[:, None, None, None] * noise)
    text = text_encoder.encode(part(tensors, TEXT), ids, mask)
    predicted = transformer.denoise(part(tensors, IMAGE), noisy, times, text, mask)
    errors = (predicted - noise).square().mean((1, 2, 3))
    weights = (HIGHEST_SNR * (1 - level) / level).clamp(max=1) * (1 / level).clamp(max=HIGHEST_GAIN)
    return (errors * weights).mean() / HIGHEST_GAIN, errors.detach().mean()


class Shared:
    """What both workers see."""

    def __init__(self, saved):
        self.tensors = saved["model"] if saved else initial_tensors()
        self.state = saved["optimizer"] if saved else optimizer.new_state(self.tensors)
        self.average = saved["average"] if saved else {n: t.clone()
                                                       for n, t in self.tensors.items()}
        self.gradients = [{n: torch.zeros_like(t) for n, t in self.tensors.items()}
                          for _ in range(WORKERS)]
        self.losses = torch.zeros(WORKERS, 2)
        self.control = torch.zeros(2)  # stop wanted (by a signal), stop now
        for group in (self.tensors, self.state, self.average, *self.gradients):
            for tensor in group.values():
                tensor.share_memory_()
        self.losses.share_memory_()
        self.control.share_memory_()


def owners(tensors):
    """Which worker updates which parameter, so that both have about as many numbers to update."""
    sizes, result = [0] * WORKERS, {}
    for name in sorted(tensors, key=lambda n: -tensors[n].numel()):
        result[name] = sizes.index(min(sizes))
        sizes[result[name]] += tensors[name].numel()
    return result


def publish_gradients(tensors, target):
    gradients = {n: t.grad for n, t in tensors.items() if t.grad is not None}
    norm = torch.stack([g.norm() for g in gradients.values()]).norm().item()
    factor = min(1.0, CLIP / (norm + 1e-6)) / WORKERS if np.isfinite(norm) else 0.0
    for name, gradient in gradients.items():
        target[name].copy_(gradient.mul_(factor) if factor else torch.zeros_like(gradient))
        tensors[name].grad = None


class Leader:
    """Worker 0's extra duties: the log and the checkpoints."""

    def __init__(self, args, shared, cooldown):
        self.args, self.shared, self.cooldown = args, shared, cooldown
        self.start = self.saved = self.logged = time.time()
        self.means, self.count = None, 0

    def expired(self):
        return time.time() - self.start > self.args.minutes * 60

    def after_step(self, step):
        values = self.shared.losses.mean(0)
        self.means = values.clone() if self.means is None else self.means.lerp(values, 0.02)
        self.count += BATCH
        if step % 20 == 0:
            speed = self.count / (time.time() - self.logged)
            self.logged, self.count = time.time(), 0
            print(f"{time.strftime('%H:%M:%S')} step {step} loss {self.means[0]:.4f} "
                  f"plain {self.means[1]:.4f} {speed:.1f} pictures/s", flush=True)
        if time.time() - self.saved > SAVE_SECONDS:
            self.save(step)

    def save(self, step):
        path = f"{self.args.out}/state.pt"
        groups = {"model": self.shared.tensors, "optimizer": self.shared.state,
                  "average": self.shared.average}
        saved = {key: {n: t.detach() for n, t in group.items()} for key, group in groups.items()}
        torch.save({**saved, "step": step, "cooldown": self.cooldown, "loss": self.means[1].item()},
                   path + ".part")
        os.replace(path + ".part", path)
        self.saved = time.time()


def worker(rank, args, shared, barrier, step, cooldown):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    signal.signal(signal.SIGTERM, lambda *_: shared.control[:1].fill_(1))
    data, leader = Data(args.data), Leader(args, shared, cooldown) if rank == 0 else None
    tensors = {n: t.requires_grad_() for n, t in shared.tensors.items()}
    mine = [n for n, owner in owners(tensors).items() if owner == rank]
    while True:
        weighted, plain = loss(tensors, *data.batch(step, rank))
        weighted.backward()
        shared.losses[rank] = torch.stack((weighted.detach(), plain))
        publish_gradients(tensors, shared.gradients[rank])
        barrier.wait()
        step += 1
        rate = RATE * min(1.0, step / WARMUP)
        if cooldown:
            rate *= max(0.0, (cooldown[1] - step) / (cooldown[1] - cooldown[0]))
        decay = min(EMA, (1 + step) / (10 + step))
        for name in mine:
            gradient = sum(g[name] for g in shared.gradients)
            optimizer.update(name, tensors[name], gradient, shared.state, rate, step)
            shared.average[name].lerp_(tensors[name].detach(), 1 - decay)
        if leader and (leader.expired() or (cooldown and step >= cooldown[1])
                       or shared.control[0]):
            shared.control[1] = 1
        barrier.wait()
        if leader:
            leader.after_step(step)
        if shared.control[1]:
            break
    if leader:
        leader.save(step)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--cooldown", type=int, help="lower the rate to 0 over so many steps")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop (resumably) after these")
    args = parser.parse_args()
    torch.manual_seed(0)
    os.makedirs(args.out, exist_ok=True)
    path = f"{args.out}/state.pt"
    saved = torch.load(path) if os.path.exists(path) else None
    step, cooldown = (saved["step"], saved["cooldown"]) if saved else (0, None)
    if args.cooldown and not cooldown:
        cooldown = (step, step + args.cooldown)
    shared, context = Shared(saved), mp.get_context("spawn")
    barrier = context.Barrier(WORKERS)
    workers = [context.Process(target=worker, args=(rank, args, shared, barrier, step, cooldown))
               for rank in range(WORKERS)]
    for process in workers:
        process.start()
    signal.signal(signal.SIGTERM, lambda *_: shared.control[:1].fill_(1))
    for process in workers:
        process.join()


if __name__ == "__main__":
    main()
