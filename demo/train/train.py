"""Train the bundled language model on train.bin until a wall-clock deadline.

  python train.py --deadline 01:27 --out run [--init model.safetensors]

Two worker processes share the parameters: each takes half of every batch on one core, then updates
half of the parameters. The schedule follows the clock, so that it ends at the deadline whatever
share of the machine it got. A run that was stopped (SIGTERM or worse) resumes from --out.
"""
import argparse
import datetime
import os
import signal
import time

import numpy as np
import torch
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file

import optimizer
from data import Sampler, perplexity
from model import Model, initial_tensors

WORKERS, BATCH_TOKENS, WARMUP_STEPS, CLIP = 2, 6144, 60, 1.0
DECAY_START, EMA_START = 0.45, 0.85  # as parts of the time


def length_at(progress, step):
    if progress < 0.30:
        return 256
    if progress < 0.75:
        return 512
    return 2048 if progress > 0.95 and step % 2 else 1024


def rate_at(progress, step):
    decay = min(1.0, (1 - progress) / (1 - DECAY_START))
    return max(0.0, decay) * min(1.0, (step + 1) / WARMUP_STEPS)


class Shared:
    """What both workers see: parameters, optimizer state, gradients of each, control values."""

    def __init__(self, saved, init):
        self.tensors = saved["model"] if saved else init
        self.state = saved["optimizer"] if saved else optimizer.new_state(self.tensors)
        self.gradients = [{n: torch.zeros_like(t) for n, t in self.tensors.items()}
                          for _ in range(WORKERS)]
        self.losses = torch.zeros(WORKERS, dtype=torch.float64)
        self.control = torch.zeros(2, dtype=torch.float64)  # progress, stop
        for group in (self.tensors, self.state, *self.gradients):
            for tensor in group.values():
                tensor.share_memory_()
        self.losses.share_memory_()
        self.control.share_memory_()


def owners(names):
    """Which worker updates which parameter: layers in turn, the rest by worker 1."""
    result = {}
    for name in names:
        layer = name.split(".layers.")[1].split(".")[0] if ".layers." in name else "1"
        result[name] = int(layer) % WORKERS
    return result


def publish_gradients(model, target):
    gradients = {n: p.grad for n, p in model.parameters.items()}
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients.values()]))
    finite = torch.isfinite(norm).item()
    factor = min(1.0, CLIP / (norm.item() + 1e-6)) / WORKERS if finite else 0.0
    for name, gradient in gradients.items():
        torch.mul(gradient, factor, out=target[name]) if finite else target[name].zero_()
        model.parameters[name].grad = None
    return norm.item()


class Leader:
    """Worker 0's extra duties: the clock, the log, checkpoints, the average of the last weights."""

    def __init__(self, args, shared, info, ema):
        self.args, self.shared, self.info, self.ema = args, shared, info, ema
        self.heldout = np.fromfile("heldout.bin", dtype=np.uint16)
        self.stop, self.average = False, None
        self.saved = self.evaluated = self.logged = time.time()
        self.logged_tokens = info["tokens"]
        signal.signal(signal.SIGTERM, self.on_signal)

    def on_signal(self, *_):
        self.stop = True

    def progress(self):
        return (time.time() - self.info["start"]) / (self.args.deadline - self.info["start"])

    def before_step(self, model, sampler, progress):
        if progress > EMA_START and self.info["steps"] % 4 == 0:
            values = [p.data for p in model.parameters.values()]
            self.ema = [v.clone() for v in values] if self.ema is None else self.ema
            torch._foreach_lerp_(self.ema, values, 0.03)
        if progress > DECAY_START and not self.info.get("decaying"):
            self.info["decaying"] = True
            self.save(sampler, "before_decay")  # a longer run can continue from here
        if self.stop or time.time() - self.saved > 300:
            self.save(sampler)
            self.saved = time.time()
        if time.time() - self.evaluated > 600:
            value = perplexity(model, self.heldout, 9)
            print(f"{time.strftime('%H:%M:%S')} held-out perplexity {value:.2f} (9 windows)",
                  flush=True)
            self.evaluated = time.time()

    def after_step(self, progress, tokens, norm):
        info, loss = self.info, self.shared.losses.mean().item()
        info["steps"] += 1
        info["tokens"] += tokens
        self.average = loss if self.average is None else 0.96 * self.average + 0.04 * loss
        if info["steps"] % 10 == 0:
            now = time.time()
            speed = (info["tokens"] - self.logged_tokens) / (now - self.logged)
            print(f"{time.strftime('%H:%M:%S')} step {info['steps']} progress {progress:.4f} "
                  f"tokens {info['tokens'] / 1e6:.2f} M loss {self.average:.3f} norm {norm:.2f} "
                  f"{speed:.0f} tokens/s", flush=True)
            self.logged, self.logged_tokens = now, info["tokens"]

    def save(self, sampler, name="state"):
        path = f"{self.args.out}/{name}.pt"
        tensors = {n: t.detach() for n, t in self.shared.tensors.items()}
        torch.save({"model": tensors, "optimizer": self.shared.state, "ema": self.ema,
                    "info": self.info, "sampler": sampler.state()}, path + ".part")
        os.replace(path + ".part", path)

    def finish(self, model):
        final = [p.data for p in model.parameters.values()]
        for name, values in (("final", final), ("average", self.ema or final)):
            tensors = {n: v.clone() for n, v in zip(model.parameters, values)}
            save_file(tensors, f"{self.args.out}/{name}.safetensors")
            value = perplexity(Model(tensors), self.heldout, 33)
            print(f"{name}: held-out perplexity {value:.3f}", flush=True)
        print(self.info, flush=True)


def worker(rank, args, shared, barrier, saved):
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # tiny gradients are otherwise many times slower
    model, sampler = Model(shared.tensors), Sampler(np.fromfile("train.bin", dtype=np.uint16))
    info = dict(saved["info"]) if saved else {"start": time.time(), "steps": 0, "tokens": 0}
    if saved:
        sampler.restore(saved["sampler"])
    leader = Leader(args, shared, info, saved["ema"] if saved else None) if rank == 0 else None
    mine = [n for n, owner in owners(shared.tensors).items() if owner == rank]
    step = info["steps"]
    while True:
        if leader:
            shared.control[0], shared.control[1] = leader.progress(), leader.stop
        barrier.wait()
        progress, stop = shared.control.tolist()
        if leader:
            leader.before_step(model, sampler, progress)
        if stop or progress >= 1:
            break
        length = length_at(progress, step)
        count = max(1, BATCH_TOKENS // length // WORKERS)
        ids = sampler.batch(length, count * WORKERS)
        loss = model.loss(ids[rank::WORKERS])
        loss.backward()
        shared.losses[rank] = loss.item()
        norm = publish_gradients(model, shared.gradients[rank])
        barrier.wait()
        step += 1
        rate = rate_at(progress, step)
        for name in mine:
            gradient = sum(g[name] for g in shared.gradients)
            optimizer.update(name, model.parameters[name], gradient, shared.state, rate, step)
        if leader:
            leader.after_step(progress, ids.numel(), norm)
    if leader and not stop:
        leader.save(sampler)
        leader.finish(model)


def first_tensors(path):
    return {n: t.float() for n, t in load_file(path).items()} if path else initial_tensors()


def deadline(text):
    """HH:MM (the next such time) or seconds since the epoch."""
    if ":" not in text:
        return float(text)
    now = datetime.datetime.now()
    moment = datetime.datetime.combine(now.date(), datetime.time.fromisoformat(text))
    return (moment if moment > now else moment + datetime.timedelta(days=1)).timestamp()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deadline", type=deadline, required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--init", help="weights to start from (default: random)")
    args = parser.parse_args()
    torch.manual_seed(0)
    os.makedirs(args.out, exist_ok=True)
    path = f"{args.out}/state.pt"
    saved = torch.load(path, weights_only=False) if os.path.exists(path) else None
    shared = Shared(saved, first_tensors(args.init))
    rest = {k: v for k, v in saved.items() if k not in ("model", "optimizer")} if saved else None
    context = mp.get_context("spawn")
    barrier = context.Barrier(WORKERS)
    workers = [context.Process(target=worker, args=(rank, args, shared, barrier, rest))
               for rank in range(WORKERS)]
    for process in workers:
        process.start()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(workers[0].pid, signal.SIGTERM))
    for process in workers:
        process.join()


if __name__ == "__main__":
    main()
