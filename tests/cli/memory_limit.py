#!/usr/bin/env python3
"""Runs the main commands with less and less address space (ulimit -v). Usage: memory_limit.py PROGRAM SOURCE_DIR

Each run must succeed, or end with exit code 1 and one line that says why: no abort, no signal. The server must answer, refuse
or hang up on every request, and go on after those that it has no memory for. LIMITS (8) of them per command, spread from what
the libraries alone need to what the command needs; for the server in steps of STEP (5) MiB, less than the stack of a thread.
Standard library only.
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

PROGRAM, SOURCE = map(os.path.abspath, sys.argv[1:3])
LIMITS, STEP = int(os.environ.get("LIMITS", "8")), int(os.environ.get("STEP", "5"))
LLM, PIPELINE = f"{SOURCE}/demo/llm", f"{SOURCE}/tests/data/oracles/pipe/pixart_words/ckpt"
TEXT = ["--text", f"{LLM}/heldout.txt", "--context", "128", "--windows", "1"]
COMMANDS = {
    "generate": ["generate", LLM, "--prompt", "The kernel", "--max-new-tokens", "8", "--recipe", "w4a8kv4-stamp"],
    "eval": ["eval", LLM, *TEXT, "--recipe", "w4a4kv4-stamp"],
    "compare": ["compare", LLM, *TEXT, "--bits", "w4a4kv4", "--feature", "none", "--sequence", "haar", "--out", "r.html"],
    "quantize": ["quantize", LLM, "--recipe", "w4a8kv8", "--out", "stored", "--force"],
    "image": ["image", PIPELINE, "--steps", "2", "--size", "16x24", "--prompt", "ball", "--out", "a.png"],
}
SERVE = ["serve", LLM, "--port", "0", "--recipe", "w4a8kv4-stamp", "--images", PIPELINE]
MIB = 1 << 20


def limited(bytes_):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return limit


def run(arguments, limit, folder):
    result = subprocess.run([PROGRAM, *arguments], cwd=folder, preexec_fn=limited(limit), capture_output=True, text=True,
                            errors="replace", timeout=300)
    return result.returncode, result.stderr


def floor(folder):
    """The least address space, in MiB, with which the program starts at all."""
    low, high = 8, 4096
    while high - low > 2:
        middle = (low + high) // 2
        low, high = (low, middle) if run(["--version"], middle * MIB, folder)[0] == 0 else (middle, high)
    return high


def check(name, code, errors, limit):
    """OpenMP's library reports threads that cannot be made and ends the program with exit code 1; of two at once, both may."""
    what = f"{name} with {limit} MiB of address space"
    assert code in (0, 1), f"{what}: exit code {code}, {errors[-300:]}"
    lines = [line for line in errors.splitlines() if line.startswith(("stamp:", "libgomp:"))]
    assert code == 0 or len(set(lines)) == 1, f"{what}: expected one line, got {errors}"


def check_command(name, arguments, least, folder):
    limit, codes = least, []
    while len(codes) < LIMITS * 3 and codes[-3:] != [0, 0, 0]:
        code, errors = run(arguments, limit * MIB, folder)
        check(name, code, errors, limit)
        codes.append(code)
        limit += max(1, least * 2 // LIMITS)
    assert 1 in codes and codes[-1] == 0, f"{name}: {codes} from {least} to {limit} MiB"
    print(f"{name}: {codes.count(1)} refused, {codes.count(0)} ran, {least} to {limit} MiB", flush=True)


def ask(url, path, body):
    """The status, or 0 when the connection ended; a server that does neither within a minute fails the test."""
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        assert "timed out" not in str(error), f"serve: no answer to {path} {str(body)[:60]}"
        return 0


def check_serve(limit, folder):
    process = subprocess.Popen([PROGRAM, *SERVE], cwd=folder, preexec_fn=limited(limit * MIB), stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    try:
        url, statuses = process.stdout.readline().strip(), []
        if url.startswith("http://"):
            small = {"model": "llm", "prompt": "a", "max_tokens": 2}
            large = {"model": "llm", "prompt": [5] * 1500, "max_tokens": 4, "n": 16}
            image = {"prompt": "ball", "steps": 1, "size": "16x24"}
            bodies = [("/v1/completions", small), ("/v1/completions", large), ("/v1/images/generations", image),
                      ("/v1/completions", {**small, "user": "x" * (3 << 20)})] * 2
            # One after the other: oneDNN (2.6) may crash when another thread takes what it was promised.
            statuses += [ask(url, *item) for item in [*bodies, ("/v1/completions", small)]]
            process.send_signal(signal.SIGTERM)
        errors = process.communicate()[1]
    finally:
        watchdog.cancel()
        process.kill()
    check("serve", process.returncode, "stamp: cut short" if "answers were cut short" in errors else errors, limit)
    assert set(statuses) <= {0, 200, 500, 503, 429}, f"serve with {limit} MiB: statuses {statuses}"
    if statuses and process.returncode == 0:
        assert statuses[-1] in (200, 500), f"serve with {limit} MiB: no answer to a small request afterwards, {statuses}"
    return statuses


def check_server(least, folder):
    limit, results = least, []
    while [statuses[-1:] for statuses in results[-3:]] != [[200]] * 3:
        results.append(check_serve(limit, folder))
        limit += STEP
        assert limit < least + 400, f"serve: no small request was answered with {limit} MiB of address space"
    answered = [status for statuses in results for status in statuses]
    print(f"serve: {sum(not statuses for statuses in results)} starts refused, {least} to {limit} MiB; statuses " +
          ", ".join(f"{answered.count(status)} x {status}" for status in sorted(set(answered))))


def main():
    folder = tempfile.mkdtemp()
    try:
        least = floor(folder)
        for name, arguments in COMMANDS.items():
            check_command(name, arguments, least, folder)
        check_server(least + 60, folder)
    except AssertionError as error:
        sys.exit(f"memory limit: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
