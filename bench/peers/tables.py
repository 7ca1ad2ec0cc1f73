"""Markdown tables of the results."""
import statistics


def rate(result):
    """Median rate over all rounds, or None."""
    rates = result["rates"]
    return statistics.median(rates) if rates else None


def cell(value, digits=None):
    if value is None:
        return "-"
    return f"{value:.{(0 if value >= 100 else 1) if digits is None else digits}f}"


def spread(result, digits=None):
    if not result or not result["rates"]:
        return "-"
    shown = [cell(value, digits) for value in (rate(result), min(result["rates"]), max(result["rates"]))]
    return "{} ({}-{})".format(*shown)


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def rates_table(results, columns, rows):
    """Medians and extremes, a row per engine."""
    body = [[column, *(spread(results.get((column, row))) for row in rows)] for column in columns]
    return markdown(["", *rows], body)


def best_peer(results, columns, row):
    found = [(rate(results[column, row]), column) for column in columns
             if not column.startswith("stamp") and (column, row) in results and results[column, row]["rates"]]  # fmt: skip
    return max(found, default=(None, "-"))


def ratio_table(results, columns, rows):
    """stamp against the best peer of each row; the spread is over rounds, each with its own ratio."""
    ours = [column for column in columns if column.startswith("stamp")]
    body = []
    for row in rows:
        peak, peer = best_peer(results, columns, row)
        if peak is None:
            continue
        cells = [row, f"{peer}: {cell(peak)}"]
        for column in ours:
            mine = results.get((column, row))
            pairs = [a / b for a, b in zip(mine["rates"], results[peer, row]["rates"])] if mine else []
            cells.append(f"{statistics.median(pairs):.2f} ({min(pairs):.2f}-{max(pairs):.2f})" if pairs else "-")
        body.append(cells)
    return markdown(["", "best peer", *ours], body)


def memory_table(results, columns, rows):
    body = []
    for column in columns:
        peaks = [results.get((column, row), {}).get("peak_rss_bytes") for row in rows]
        body.append([column, *("-" if not peak else f"{peak / 2**20:.0f}" for peak in peaks)])
    return markdown(["peak memory (MiB)", *rows], body)


def all_tables(results, machine):
    columns = list(dict.fromkeys(column for column, _ in results))
    present = list(dict.fromkeys(row for _, row in results))
    linears = [row for row in present if row.startswith("linear")]
    rows = sorted((row for row in present if row not in linears), key=lambda r: (r.split()[0] != "prefill", int(r.split()[-1])))
    models = [column for column in columns if any((column, row) in results for row in rows)]
    parts = ["Tokens/s, median (least-most) over the rounds:\n", rates_table(results, models, rows)]
    if linears:
        engines = [column for column in columns if any((column, row) in results for row in linears)]
        parts += ["GOPS:\n", rates_table(results, engines, linears)]
    parts += ["`stamp` against the best peer of each row, round by round:\n", ratio_table(results, columns, rows + linears)]
    parts += [memory_table(results, models, rows)]
    parts += ["".join(f"{key}: {value}  \n" for key, value in machine.items())]
    return "\n".join(parts)
