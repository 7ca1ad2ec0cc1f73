#!/usr/bin/env python3
"""Turns the JSON of `stamp compare --json-out FILE` into Markdown tables, one per bit setting.

    python3 tools/markdown_table.py FILE [--short]      --short: fewer columns, for the README
"""
import argparse
import json


def number(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value):
    return "-" if value is None else f"{100 * value:.0f} %"


def interval(row):
    if row["gap_closed_kl"] is None:
        return "-"
    middle, low, high = row["nll_difference"]
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]"


def kl_interval(row):
    if row["gap_closed_kl"] is None:
        return "-"
    middle, low, high = row["kl_difference"]
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]"


def sequence(row):
    if row["sequence"] != "none":
        return row["sequence"]
    return "none, unprotected" if row["plan"] == "uniform" else "none"


COLUMNS = [  # title, cell, in the short table
    ("feature", lambda r: r["feature"], True),
    ("sequence", sequence, True),
    ("plan", lambda r: r["plan"], True),
    ("A bits", lambda r: number(r["activation_average_bits"], 3), True),
    ("KV bits", lambda r: number(r["kv_average_bits"], 3), False),
    ("perplexity", lambda r: number(r["scores"]["perplexity"], 2), True),
    ("KL", lambda r: number(r["scores"]["kl_mean"], 4), True),
    ("KL 99 %", lambda r: number(r["scores"]["kl_99"], 3), False),
    ("top-1", lambda r: percent(r["scores"]["top1_agreement"]), False),
    ("gap closed, PPL", lambda r: percent(r["gap_closed_perplexity"]), True),
    ("gap closed, KL", lambda r: percent(r["gap_closed_kl"]), True),
    ("causal gap, KL", lambda r: percent(r["causal_gap_closed_kl"]), False),
    ("NLL - baseline [95 %]", interval, False),
    ("KL - baseline [95 %]", kl_interval, False),
]


def setting(row):
    return f"W{row['weight_bits']} A{row['activation_bits']} KV{row['kv_bits']}"


def print_table(rows, columns):
    print("| " + " | ".join(title for title, _ in columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(cell(row) for _, cell in columns) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--short", action="store_true")
    args = parser.parse_args()
    with open(args.file, encoding="utf-8") as f:
        result = json.load(f)
    columns = [(title, cell) for title, cell, short in COLUMNS if short or not args.short]
    print(f"{result['windows']} windows of {result['context']} tokens, simulated, {result['machine']}, "
          f"commit {result['commit']}; unquantized perplexity {result['perplexity_unquantized']:.3f}\n")
    for name in dict.fromkeys(setting(row) for row in result["rows"]):
        print(f"**{name}**\n")
        print_table([row for row in result["rows"] if setting(row) == name], columns)
        print()


if __name__ == "__main__":
    main()
