#!/usr/bin/env python3
"""Measures K/V caches on a model and writes the tables of docs/results.md as Markdown.

    python3 bench/kv_table.py --tune    # bit plans and clip ratios on calibration.txt: what WIDE_ROWS and CLIP were chosen from
    python3 bench/kv_table.py           # all caches on heldout.txt

Run it from the root of the repository with one core to itself (about 15 minutes for all caches). A cache is a rotation, a
grid, a transform L and a bit plan, and gets at most BUDGET bits per value beyond its width. `stamp compare --recipes`
measures the caches of one width and tensor on the same windows; everything but K and V stays unquantized. Results that
are in --work already are not measured again.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
from dataclasses import dataclass, replace

WIDTHS = (4, 3, 2)
BLOCK, HEAD_DIM = 64, 64
MIN_BITS = 2  # of waterfill: groups of 32 leave it nothing to share out there
BUDGET = 0.5  # scales, zero points and wide rows
SINK = 0.01   # more than a sink row costs in a window of 1024 tokens; it comes once in a sequence
# What --tune found. Rows of a block that get one bit more; per width the clip ratio of that cache and of groups of 32.
WIDE_ROWS = 8
CLIP = {4: (0.97, 0.95), 3: (0.95, 0.8), 2: (0.85, 0.7)}


@dataclass(frozen=True)
class Cache:
    rotation: str = "none"  # none, head, group
    group: int = HEAD_DIM  # values of a token and head that share a scale
    symmetric: bool = False
    haar: bool = False  # L; the sink is kept out of it
    wide: tuple = ()  # two_level: (rows, their bits)
    waterfill: bool = False
    clip: float = 1.0

    def scale_bits(self):
        return (16 if self.symmetric else 16 + 8) / self.group

    def plan(self, bits):
        rows, high_bits = self.wide or (1, 8)
        kind = "two_level" if self.wide else "waterfill" if self.waterfill else "uniform"
        return {"kind": kind, "high_tokens": rows, "high_bits": high_bits, "min_bits": MIN_BITS,
                "average_bits": bits + BUDGET - self.scale_bits() if self.waterfill else 0}  # fmt: skip

    def spec(self, bits):
        """The cache as "k" or "v" of a recipe."""
        return {
            "bits": bits,
            "rotation": self.rotation,
            "quantizer": {"symmetric": self.symmetric, "clip": self.clip, "block": self.group % HEAD_DIM},
            "sequence": {"transform": "haar", "skip_tokens": 1} if self.haar else {"transform": "identity"},
            "plan": self.plan(bits),
        }

    def cells(self):
        rotation = {"none": "-", "head": "head", "group": f"groups of {self.group}"}[self.rotation]
        grid = ("symmetric" if self.symmetric else "asymmetric") + (f", clip {self.clip}" if self.clip < 1 else "")
        plan = "{} rows of {} bits".format(*self.wide) if self.wide else "waterfill" if self.waterfill else "uniform"
        return rotation, grid, "haar" if self.haar else "-", plan


PLAIN, HEAD = Cache(), Cache("head")
GROUP32 = Cache("group", 32, symmetric=True)  # the 4.5-bit layout of llama.cpp, rotated


def eight_bits(bits):
    """As many rows of 8 bits as the budget has room for beside one scale and zero point per row."""
    return int((BUDGET - HEAD.scale_bits()) * BLOCK / (8 - bits)), 8


def plans(cache, bits):
    """`cache` without and with L. Groups of 32 have spent the budget on scales: their wide row exceeds it."""
    wide = (1, 8) if cache.group == 32 else eight_bits(bits)
    haar = replace(cache, haar=True)
    more = [] if cache.group == 32 else [replace(haar, wide=(WIDE_ROWS, bits + 1))]
    if cache.group > 32 or bits > MIN_BITS:
        more.append(replace(haar, waterfill=True))
    return [cache, replace(cache, wide=wide), replace(haar, wide=wide), *more]


def tuned(bits):
    """K and V of the presets."""
    return tuple(replace(cache, haar=True, wide=(WIDE_ROWS, bits + 1), clip=CLIP[bits][0]) for cache in (HEAD, PLAIN))


def caches(tensor, bits):
    """What K and V get; None stays at 16 bits."""
    each = [cache for base in (PLAIN, HEAD, GROUP32) for cache in plans(base, bits)]
    if tensor != "K and V":
        return [(cache, None) if tensor == "K" else (None, cache) for cache in each]
    mixed = list(zip(plans(HEAD, bits), plans(PLAIN, bits)))[1:]
    group32 = replace(GROUP32, clip=CLIP[bits][1])
    return [(cache, cache) for cache in each] + mixed + [tuned(bits), (group32, group32)]


def tuning_caches(bits):
    """Plans that fill the budget, then clip ratios of the presets' plan and of groups of 32."""
    room = int((BUDGET - HEAD.scale_bits()) * BLOCK)
    wides = [(room // more, bits + more) for more in range(1, 9 - bits) if room // more > 0]
    chosen = tuned(bits)
    clips = [1.0, 0.97, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6]
    return (
        [tuple(replace(cache, wide=wide, clip=1.0) for cache in chosen) for wide in wides]
        + [tuple(replace(cache, wide=(), waterfill=True, clip=1.0) for cache in chosen)]
        + [tuple(replace(cache, clip=clip) for cache in chosen) for clip in clips[1:]]
        + [(replace(GROUP32, clip=clip),) * 2 for clip in clips]
    )


def name_of(pair, bits):
    parts = [f"{tensor}{bits} {', '.join(cache.cells())}" for tensor, cache in zip("KV", pair) if cache]
    return " + ".join(parts)


def measure(args, pairs, bits, label, text, calibration):
    """Rows of stamp compare by name."""
    folder = pathlib.Path(args.work, label)
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "result.json"
    if not result.exists():
        files = []
        for i, pair in enumerate(pairs):
            specs = {part: cache.spec(bits) for part, cache in zip("kv", pair) if cache}
            files.append(folder / f"{i}.json")
            files[-1].write_text(json.dumps({"schema": 1, "name": name_of(pair, bits), **specs}, indent=2))
        command = [args.stamp, "compare", args.model, "--text", text, "--calibration", calibration, "--windows",
                   args.windows, "--recipes", ",".join(map(str, files)), "--json-out", result]  # fmt: skip
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
    measured = json.loads(result.read_text())
    return {row["recipe"]["name"]: row for row in measured["rows"]}, measured


def total_bits(row, pair):
    both = row["kv_average_bits_with_scales"]
    return both if all(pair) else 2 * both - 16  # the other tensor counts 16


def kl(row):
    return [window[2] for window in row["scores"]["windows_nll_unquantized_kl"]]


def paired(row, baseline, draws=10000):
    """Mean difference in KL and its bootstrap 95 % interval over windows."""
    differences = [a - b for a, b in zip(kl(row), kl(baseline))]
    n, rng = len(differences), random.Random(1)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(draws))
    return sum(differences) / n, means[int(0.025 * draws)], means[int(0.975 * draws)]


def print_table(title, pairs, rows, bits):
    named = [(pair, rows[name_of(pair, bits)]) for pair in pairs]
    baseline = next(row for pair, row in named if all(cache in (None, GROUP32) for cache in pair))
    fitting = [row for pair, row in named if total_bits(row, pair) <= bits + BUDGET + SINK]
    best = min(fitting, key=lambda row: row["scores"]["kl_mean"])
    print(f"**{title}**\n")
    print("| rotation | grid | L | bit plan | total bits | perplexity | KL x 1000 | KL x 1000 - groups of 32 [95 %] |")
    print("|---|---|---|---|---|---|---|---|")
    for pair, row in named:
        cells = zip(*(cache.cells() for cache in pair if cache))
        words = [a if len(set((a, *b))) == 1 else f"{a} (K), {b[0]} (V)" for a, *b in cells]
        mean = f"{1000 * row['scores']['kl_mean']:.3f}"
        difference = "-" if row is baseline else "{:+.3f} [{:+.3f}, {:+.3f}]".format(
            *(1000 * x for x in paired(row, baseline)))  # fmt: skip
        print(f"| {' | '.join(words)} | {total_bits(row, pair):.3f} | {row['scores']['perplexity']:.3f} | "
              f"{f'**{mean}**' if row is best else mean} | {difference} |")  # fmt: skip
    print()


def tune(args):
    """Row ranges come from the first half of the calibration text, figures from the second."""
    folder = pathlib.Path(args.work)
    folder.mkdir(parents=True, exist_ok=True)
    text = pathlib.Path(args.model, "calibration.txt").read_text(encoding="utf-8")
    middle = text.index("\n", len(text) // 2)
    (folder / "first.txt").write_text(text[:middle], encoding="utf-8")
    (folder / "second.txt").write_text(text[middle:], encoding="utf-8")
    for bits in WIDTHS:
        pairs = tuning_caches(bits)
        rows, _ = measure(args, pairs, bits, f"tune-{bits}", folder / "second.txt", folder / "first.txt")
        print_table(f"K and V, {bits} bits, on calibration text", pairs, rows, bits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stamp", default="build/stamp")
    parser.add_argument("--model", default="demo/llm")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--work", default="/tmp/kv_table")
    parser.add_argument("--tune", action="store_true")
    args = parser.parse_args()
    if args.tune:
        return tune(args)
    text, calibration = f"{args.model}/heldout.txt", f"{args.model}/calibration.txt"
    for tensor in ("K", "V", "K and V"):
        for bits in WIDTHS:
            pairs = caches(tensor, bits)
            rows, run = measure(args, pairs, bits, f"{tensor.replace(' ', '-')}-{bits}", text, calibration)
            if (tensor, bits) == ("K", WIDTHS[0]):
                print(f"{run['windows']} windows of {run['context']} tokens, simulated, {run['machine']}, commit "
                      f"{run['commit']}; unquantized perplexity {run['perplexity_unquantized']:.3f}\n")  # fmt: skip
            print_table(f"{tensor}, {bits} bits", pairs, rows, bits)


if __name__ == "__main__":
    main()
