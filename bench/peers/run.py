#!/usr/bin/env python3
"""Speed and memory of the Llama-3.2-1B shape with random weights: `stamp` beside llama.cpp, OpenVINO and PyTorch.

    python bench/peers/run.py [--stamp build/stamp] [--rounds 3] [--quick] [--json FILE] [--markdown FILE]

The first run installs the peers from PyPI into a virtual environment outside the source tree (llama.cpp is compiled for
this processor, which takes a while) and writes the models. Every measurement is a process of its own on the same
processors; rounds repeat all of them in turn, so that ratios compare what ran minutes apart. A full run of three rounds
takes about a quarter of an hour on two fast cores, --quick some two minutes.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from cases import all_cases
from setup_peers import make_environment, make_models, make_plain_directory
from tables import all_tables

ROOT = Path(__file__).resolve().parents[2]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamp", default=str(ROOT / "build" / "stamp"))
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "stamp-peers", help="environment and models")
    parser.add_argument("--venv", type=Path, help="environment of the peers (default: CACHE/venv)")
    parser.add_argument("--torch-python", help="a Python that has PyTorch; it is not installed then")
    parser.add_argument("--engines", nargs="*", default=["llama.cpp", "openvino", "torch"], choices=["llama.cpp", "openvino", "torch"])
    parser.add_argument("--recipes", nargs="+", default=["w4a4kv4-stamp", "w4a8kv4-stamp", "bf16"])
    parser.add_argument("--lm-head", type=int, choices=[4, 8, 16], help="bits of stamp's output head (the peers' has 4.5)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prefill", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--depths", type=int, nargs="+", default=[0, 4096, 16384])
    parser.add_argument("--quick", action="store_true", help="one round, prefill 512, depths 0 and 4096")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one measurement")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.prefill, options.depths = 1, [512], [0, 4096]
    return options


def pinned(threads):
    """Runs in the child: the same processors for every engine."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def from_stamp(printed, case):
    """The part of `stamp bench --json` that belongs to the case."""
    facts = {"peak_rss_bytes": printed["peak_rss_bytes"], "version": f"stamp {printed['commit']}"}
    if case.row.startswith("linear"):
        linear = next(l for l in printed["linears"] if case.row.startswith("linear {}x{}->{} ".format(*l["shape"])))
        return {"seconds": linear["seconds"], "dot_peak": printed["dot_peak"], **facts}
    side = printed["sides"][0]
    if "step_seconds" in side:  # of an image model
        return {"seconds": side["step_seconds"], "sides": printed["sides"], **facts}
    part = side[case.row.split()[0]]
    return {"seconds": part["seconds"], "side": side, "dot_peak": printed["dot_peak"],
            "read_gb_per_second": printed["read_gb_per_second"], **facts}  # fmt: skip


def measure(case, options):
    """What the child printed, or {"error": ...}."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    command = [str(part) for part in case.command]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.timeout,
                              preexec_fn=lambda: pinned(options.threads))  # fmt: skip
        printed = json.loads(done.stdout[done.stdout.index("{"):])
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {options.timeout:.0f} s"}
    except ValueError:
        return {"error": (done.stderr.strip().splitlines() or ["printed nothing"])[-1]}
    return from_stamp(printed, case) if printed.get("kind") == "bench" else printed


def collect(cases, options):
    """{(column, row): {"rates": one per round, "raw": ..., "peak_rss_bytes": ...}}. Ctrl-C ends it with what is there."""
    results = {}
    try:
        measure_rounds(cases, options, results)
    except KeyboardInterrupt:
        print("interrupted: tables of what was measured", file=sys.stderr)
    return results


def measure_rounds(cases, options, results):
    for index in range(options.rounds):
        for case in cases if index % 2 == 0 else cases[::-1]:
            start = time.perf_counter()
            printed = measure(case, options)
            entry = results.setdefault((case.column, case.row), {"rates": [], "raw": [], "peak_rss_bytes": 0})
            entry["raw"].append(printed)
            if "error" in printed:
                print(f"round {index + 1}: {case.name}: {printed['error']}", file=sys.stderr)
                continue
            seconds = sorted(printed["seconds"])
            entry["rates"].append(case.amount / seconds[len(seconds) // 2])
            entry["peak_rss_bytes"] = max(entry["peak_rss_bytes"], printed["peak_rss_bytes"])
            print(f"round {index + 1}: {case.name}: {entry['rates'][-1]:.4g} ({time.perf_counter() - start:.0f} s)", file=sys.stderr)


def describe_machine(results, options):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())
        file.seek(0)
        flags = next((line.split(":", 1)[1].split() for line in file if line.startswith("flags")), [])
    shown = [flag for flag in flags if flag.startswith(("avx", "amx"))]
    versions = {raw["version"] for entry in results.values() for raw in entry["raw"] if "version" in raw}
    return {"machine": cpu, "instruction sets": " ".join(shown), "threads": options.threads, "rounds": options.rounds,
            "versions": "; ".join(sorted(versions)), "date": time.strftime("%Y-%m-%d")}  # fmt: skip


def main():
    options = parse()
    options.cache.mkdir(parents=True, exist_ok=True)
    python, torch_python = make_environment(options.venv or options.cache / "venv", options.torch_python, options.engines)
    models = make_models(python, options.cache, ["q4_0", "bf16"] if options.engines else [])
    plain = make_plain_directory(python, options.cache) if "bf16" in options.recipes else None
    start = time.perf_counter()
    results = collect(all_cases(python, torch_python, models, plain, options), options)
    print(f"measured in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    machine = describe_machine(results, options)
    text = all_tables(results, machine)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.json:
        flat = [{"engine": column, "case": row, **entry} for (column, row), entry in results.items()]
        options.json.write_text(json.dumps({"machine": machine, "results": flat}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(entry["rates"] for entry in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
