#!/usr/bin/env python3
"""Prefill of one model directory by `stamp bench` and by PyTorch (transformers, sdpa attention), run in turns.

    python bench/prefill_vs_torch.py MODEL [--stamp build/stamp] [--prefill 2048] [--rounds 3] [--runs 3] [--threads N]

Both compute in bf16 without logits, one untimed pass first, every round in fresh processes. Prints the medians, their
ratio and the peak memory; --json FILE keeps every time. Needs torch and transformers; tools/make_random_model.py makes
directories of published shapes.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time


def torch_child(options):
    """One process of the PyTorch side: prints what `stamp bench --json` prints."""
    import torch
    from transformers import AutoModelForCausalLM

    if options.threads:
        torch.set_num_threads(options.threads)
    dtype = torch.bfloat16 if options.compute == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype, attn_implementation="sdpa").eval()
    ids = torch.randint(2, model.config.vocab_size, (1, options.prefill), generator=torch.Generator().manual_seed(0))
    seconds = []
    with torch.inference_mode():
        for _ in range(options.runs + 1):
            start = time.perf_counter()
            model.model(ids, use_cache=True)
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"prefill_seconds": seconds[1:], "peak_rss_bytes": peak, "threads": torch.get_num_threads()}))


def run(command, environment):
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout[done.stdout.index("{"):])


def commands(options):
    common = ["--prefill", str(options.prefill), "--runs", str(options.runs), "--compute", options.compute]
    threads = ["--threads", str(options.threads)] if options.threads else []
    return {
        "stamp": [options.stamp, "bench", options.model, *common, *threads, "--json"],
        "torch": [sys.executable, __file__, options.model, *common, *threads, "--child"],
    }


def describe(name, rounds, prefill):
    medians = [statistics.median(r["prefill_seconds"]) for r in rounds]
    every = [s for r in rounds for s in r["prefill_seconds"]]
    peak = max(r["peak_rss_bytes"] for r in rounds)
    median = statistics.median(medians)
    print(f"{name:<6} {median:9.3f} {min(every):9.3f} {max(every):9.3f} {prefill / median:10.1f} {peak / 2**20:9.0f}")
    return median


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--stamp", default="build/stamp")
    parser.add_argument("--prefill", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3, help="timed passes of each process")
    parser.add_argument("--threads", type=int, default=0, help="0: what each program takes by itself")
    parser.add_argument("--compute", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--json", help="file for all times")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return torch_child(options)
    environment = dict(os.environ)
    if options.threads:
        environment["OMP_NUM_THREADS"] = str(options.threads)
    results = {"stamp": [], "torch": []}
    for index in range(options.rounds):
        order = list(commands(options).items())
        for name, command in order if index % 2 == 0 else order[::-1]:  # neither side always runs on a warm machine
            results[name].append(run(command, environment))
            print(f"round {index + 1} {name}: {results[name][-1]['prefill_seconds']}", file=sys.stderr)
    print(f"{'':6} {'median s':>9} {'min':>9} {'max':>9} {'tokens/s':>10} {'peak MiB':>9}")
    medians = {name: describe(name, rounds, options.prefill) for name, rounds in results.items()}
    pairs = [statistics.median(t["prefill_seconds"]) / statistics.median(s["prefill_seconds"])
             for s, t in zip(results["stamp"], results["torch"])]  # fmt: skip
    print(f"torch / stamp: {medians['torch'] / medians['stamp']:.3f} (rounds: {', '.join(f'{p:.3f}' for p in pairs)})")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"prefill": options.prefill, "compute": options.compute, "results": results}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
