#!/usr/bin/env python3
"""Turns the JSON of `stamp compare --json-out FILE` into Markdown tables, one per bit setting.

    python3 tools/markdown_table.py FILE... [--short] [--beside SEQUENCE]

--short   fewer columns, for the README
--beside  a second table: every row minus the row of the same feature with SEQUENCE and two_level, in points of the gap

Intervals are paired bootstrap 95 % over windows. Needs NumPy.
"""
import argparse
import json

import numpy as np

DRAWS = 4000


def windows(row, part):
    """[windows, 3]: negative log-likelihood, that of the unquantized model, KL."""
    return np.array(row[part].get("windows_nll_unquantized_kl") or np.zeros((0, 3)))


def gaps(row, baseline, part, kind, chosen):
    """Share of the distance between baseline and unquantized model that row closes, per resampling of windows."""
    own, base = (windows(r, part)[chosen].mean(1) for r in (row, baseline))
    if kind == "KL":
        return 1 - own[:, 2] / base[:, 2]
    own, base, plain = np.exp(own[:, 0]), np.exp(base[:, 0]), np.exp(base[:, 1])
    return (base - own) / (base - plain)


def both(row, baseline, part, kind, other=None):
    """(value, low, high), minus that of `other`; None without windows."""
    count = len(windows(row, part))
    if count == 0 or baseline is None or row is baseline or row is other:
        return None
    if other is not None and len(windows(other, part)) == 0:
        return None
    everything = np.arange(count)[None]
    drawn = np.random.default_rng(0).integers(0, count, (DRAWS, count))
    value, draws = (gaps(row, baseline, part, kind, c) - (gaps(other, baseline, part, kind, c) if other else 0)
                    for c in (everything, drawn))  # fmt: skip
    return value[0], *np.percentile(draws, [2.5, 97.5])


def percents(triple, sign=""):
    if triple is None:
        return "-"
    middle, low, high = (100 * x for x in triple)
    return f"{middle:{sign}.0f} [{low:{sign}.0f}, {high:{sign}.0f}]"


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def sequence(row):
    if row["sequence"] != "none":
        return row["sequence"]
    return "none, unprotected" if row["plan"] == "uniform" else "none"


def setting(row):
    return f"W{row['weight_bits']} A{row['activation_bits']} KV{row['kv_bits']}"


def fellow(rows, row, sequence_name):
    """The row of the same block with two_level and that sequence."""
    return next((r for r in rows if setting(r) == setting(row) and r["feature"] == row["feature"]
                 and (r["sequence"], r["plan"]) == (sequence_name, "two_level")), None)  # fmt: skip


def sqnr(row):
    values = [db for db in row["linear_sqnr_db"].values() if db is not None]
    return number(sum(values) / len(values), 2) if values else "-"


COLUMNS = [  # title, cell(row, rows), in the short table
    ("feature", lambda r, _: r["feature"], True),
    ("sequence", lambda r, _: sequence(r), True),
    ("plan", lambda r, _: r["plan"], True),
    ("A bits", lambda r, _: number(r["activation_average_bits"], 3), True),
    ("KV bits", lambda r, _: number(r["kv_average_bits"], 3), False),
    ("perplexity", lambda r, _: number(r["scores"]["perplexity"], 2), True),
    ("KL", lambda r, _: number(r["scores"]["kl_mean"], 4), True),
    ("top-1 %", lambda r, _: number(100 * r["scores"]["top1_agreement"], 1), False),
    ("SQNR dB", lambda r, _: sqnr(r), False),
    ("gap closed %, PPL", lambda r, rows: percents(both(r, fellow(rows, r, "none"), "scores", "PPL")), True),
    ("gap closed %, KL", lambda r, rows: percents(both(r, fellow(rows, r, "none"), "scores", "KL")), True),
    ("causal, KL", lambda r, rows: percents(both(r, fellow(rows, r, "none"), "causal", "KL")), False),
]


def print_table(rows, columns):
    print("| " + " | ".join(title for title, _ in columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(cell(row, rows) for _, cell in columns) + " |")
    print()


def points(name, part, kind):
    def cell(row, rows):
        return percents(both(row, fellow(rows, row, "none"), part, kind, fellow(rows, row, name)), "+")
    return cell


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--beside", metavar="SEQUENCE")
    args = parser.parse_args()
    results = [json.load(open(name, encoding="utf-8")) for name in args.files]
    rows = [row for result in results for row in result["rows"]]
    first = results[0]
    how = "simulated" if first["simulated"] else "integer products"
    print(f"{first['windows']} windows of {first['context']} tokens, {how}, {first['machine']}, "
          f"commit {first['commit']}; unquantized perplexity {first['perplexity_unquantized']:.3f}\n")
    columns = [(title, cell) for title, cell, short in COLUMNS if short or not args.short]
    for name in dict.fromkeys(setting(row) for row in rows):
        print(f"**{name}**\n")
        block = [row for row in rows if setting(row) == name]
        print_table(block, columns)
        if args.beside:
            print(f"Minus {args.beside} with two_level, points of the gap:\n")
            beside = columns[:3] + [(f"{kind}{', causal' if part == 'causal' else ''}", points(args.beside, part, kind))
                                    for part in ("scores", "causal") for kind in ("PPL", "KL")]  # fmt: skip
            kept = [row for row in block if row["sequence"] != "none" and fellow(block, row, args.beside) not in (None, row)]
            print("| " + " | ".join(title for title, _ in beside) + " |\n|" + "---|" * len(beside))
            for row in kept:
                print("| " + " | ".join(cell(row, block) for _, cell in beside) + " |")
            print()


if __name__ == "__main__":
    main()
