#!/usr/bin/env python3
"""Turns the JSON of `stamp compare PIPELINE --json-out FILE` into one Markdown table.

    python3 tools/markdown_images.py FILE...

SQNR in dB: of pixels in [-1, 1], of single steps on the unquantized model's latents (no errors add up), of latents; means
over images (and steps). Intervals are bootstrap 95 % over prompts, against the row with as many wide tokens and no L.
"""
import json
import statistics
import sys

COLUMNS = "arm|A bits|SQNR|gain of L [95 %]|single steps|latents|[0, 1]|PSNR|SSIM".split("|")


def line(row):
    mean = {key: statistics.fmean(score[key] for score in row["scores"]) for key in row["scores"][0]}
    gain = row.get("gain")
    return [row["label"] + (" (simulated)" if row["simulated"] else ""), f"{row['bits']:.2f}", f"{mean['sqnr']:.2f}",
            f"**{gain['mean']:+.2f}** [{gain['low']:+.2f}, {gain['high']:+.2f}]" if gain else "-",
            f"{statistics.fmean(row['step_sqnr']):.2f}", f"{mean['sqnr_latents']:.2f}", f"{mean['sqnr_unit']:.2f}",
            f"{mean['psnr']:.2f}", f"{mean['ssim']:.4f}"]


def main():
    rows = [row for file in sys.argv[1:] for row in json.load(open(file))["rows"]]
    for cells in [COLUMNS, ["---"] * len(COLUMNS), *map(line, rows)]:
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
