"""What the processes that measure one thing have in common: arguments in, one line of JSON out."""
import argparse
import json
import time


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model")
    parser.add_argument("--prefill", type=int, default=0, help="tokens of one pass")
    parser.add_argument("--decode", type=int, default=0, help="single tokens after --depth")
    parser.add_argument("--depth", type=int, default=0, help="tokens already in the cache")
    parser.add_argument("--kv", default="f16", help="type of the cache")
    parser.add_argument("--linear", nargs=3, type=int, metavar=("ROWS", "IN", "OUT"))
    parser.add_argument("--kind", default="int8", help="type of the linear")
    parser.add_argument("--runs", type=int, default=1, help="timed passes, after one that is not")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def time_passes(one_pass, runs):
    """Seconds of `runs` passes after an untimed one."""
    one_pass()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        one_pass()
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_bytes():
    """Largest resident set of this process, pages of mapped files included."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def finish(seconds, **facts):
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak_bytes(), **facts}), flush=True)
