#!/usr/bin/env python3
"""One denoising step of PixArt-Sigma and SANA at 1024 pixels with random weights: `stamp` beside diffusers in bf16.

    python bench/peers/images.py [--stamp build/stamp] [--rounds 3] [--torch-python PYTHON] [--json FILE] [--markdown FILE]

One image, no guidance, 300 text tokens. Every measurement is a process of its own on the same processors, engines in
turns, as in run.py. --torch-python names a Python that has torch and diffusers; without it they are installed into a
virtual environment below --cache. What L costs is measured inside one process: the recipe and the same recipe without
its transform take turns, step by step.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from cases import Case, child
from run import ROOT, collect, describe_machine, measure
from setup_peers import make_torch_environment
from tables import markdown, spread

SHAPES = ["pixart-sigma-1024", "sana-1.6b-1024", "pixart-sigma-512"]
PEER = "diffusers bf16"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamp", default=str(ROOT / "build" / "stamp"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "stamp-peers", help="environment and recipes")
    parser.add_argument("--torch-python", help="a Python that has torch and diffusers; they are not installed then")
    parser.add_argument("--shapes", nargs="+", default=SHAPES[:2], choices=SHAPES)
    parser.add_argument("--recipe", default="image-w4a4-stamp", help="preset or file with a sequence transform")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="timed steps of one measurement, after one that is not")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one measurement")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    return parser.parse_args()


def write_variants(options):
    """{name: file} of the recipe, with one scale per token and output channel, and without L."""
    recipe = json.loads(subprocess.run([options.stamp, "recipe", options.recipe], check=True, capture_output=True).stdout)

    def write(suffix, change):
        variant = json.loads(json.dumps(recipe))
        change(variant)
        variant["name"] += suffix
        path = options.cache / f"{variant['name']}.json"
        path.write_text(json.dumps(variant, indent=1) + "\n", encoding="utf-8")
        return path

    def rows(variant):
        variant["weights"]["group"] = variant["activations"]["quantizer"]["block"] = 0

    def no_transform(variant):
        variant["activations"]["sequence"]["transform"] = "identity"

    return {"plain": write("", lambda _: None), "rows": write("-row-scales", rows), "no L": write("-without-l", no_transform)}


def step_case(options, shape, column, recipe, runs, *more):
    command = [options.stamp, "bench", "--shape", shape, "--recipe", recipe, *more,
               "--runs", runs, "--threads", options.threads, "--json"]  # fmt: skip
    return Case(shape, column, command, 1)


def all_cases(python, recipes, options):
    for shape in options.shapes:
        yield child(python, "diffusers_child.py", PEER, shape, 1, options, "--model", shape, "--runs", options.steps)
        for name in ("plain", "rows"):
            yield step_case(options, shape, f"stamp {recipes[name].stem}", recipes[name], options.steps)


def measure_transform(recipes, options):
    """{shape: steps of the recipe and of the one without L, in turns}."""
    found = {}
    for shape in options.shapes:
        runs = max(3, options.rounds * options.steps)
        case = step_case(options, shape, "", recipes["plain"], runs, "--compare-recipe", recipes["no L"])
        printed = measure(case, options)
        if "error" in printed:
            print(f"{shape}, with and without L: {printed['error']}", file=sys.stderr)
            continue
        found[shape] = [side["step_seconds"] for side in printed["sides"]]
    return found


def seconds(result):
    """The median with its extremes, from rates."""
    return spread({"rates": [1 / rate for rate in result["rates"]]}, digits=2) if result else "-"


def ratios(mine, peer, digits=2):
    """Our rate over the peer's, round by round."""
    pairs = [a / b for a, b in zip(mine["rates"], peer["rates"])]
    return spread({"rates": pairs}, digits=digits)


def step_table(results, options):
    body = []
    for (column, shape), result in results.items():
        peer = results[PEER, shape]
        memory, reference = result["peak_rss_bytes"], peer["peak_rss_bytes"]
        own = column != PEER and result["rates"] and peer["rates"]
        body.append([shape, column, seconds(result), ratios(result, peer) if own else "-", f"{memory / 2**20:.0f}",
                     f"{100 * (memory / reference - 1):+.0f} %" if own else "-"])  # fmt: skip
    order = {shape: index for index, shape in enumerate(options.shapes)}
    body.sort(key=lambda row: order[row[0]])
    return markdown(["shape", "engine", "seconds per step", f"times as fast as {PEER}", "peak memory (MiB)", "against it"], body)


def transform_table(found):
    body = []
    for shape, (ours, without) in found.items():
        shares = [100 * (1 - b / a) for a, b in zip(ours, without)]
        body.append([shape, f"{statistics.median(ours):.2f}", f"{statistics.median(without):.2f}",
                     f"{statistics.median(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})"])  # fmt: skip
    return markdown(["shape", "with L (s)", "without (s)", "L and its inverse, % of the step"], body)


def main():
    options = parse()
    options.cache.mkdir(parents=True, exist_ok=True)
    python = options.torch_python or make_torch_environment(options.cache / "venv", ["diffusers", "transformers"])
    recipes = write_variants(options)
    results = collect(list(all_cases(python, recipes, options)), options)
    transform = measure_transform(recipes, options)
    machine = describe_machine(results, options)
    text = "\n".join([step_table(results, options), transform_table(transform),
                      "".join(f"{key}: {value}  \n" for key, value in machine.items())])  # fmt: skip
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.json:
        flat = [{"engine": column, "shape": shape, **entry} for (column, shape), entry in results.items()]
        options.json.write_text(json.dumps({"machine": machine, "results": flat, "transform": transform}, indent=1) + "\n",
                                encoding="utf-8")  # fmt: skip
    return 0 if all(entry["rates"] for entry in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
