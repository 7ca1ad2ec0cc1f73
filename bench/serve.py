#!/usr/bin/env python3
"""Tokens per second of concurrent requests to a running `stamp serve`, beside those of one.

Usage: serve.py URL [--concurrent 1,4,16] [--tokens 64] [--prompt-tokens 128] [--steady SECONDS --clients 64]
                    [--prefix ROUNDS --shared-tokens 1500 --tail-tokens 50]

Every request has a prompt of its own (random words), is greedy and streams. Printed are tokens per second of all requests
together from the first token of the last one to start until the first one ends, so that prompts do not count, and the
median seconds to the first token. With --steady, so many clients send one request after the other for some seconds
instead; printed are errors, answers of the slowest and the fastest client, and the server's peak memory as time goes on.
With --prefix, every round sends a prompt that no round sent before (shared and tail tokens), the same again, and the shared
tokens with another tail, one request at a time; printed are medians of the seconds to the first token with their range.
"""
import argparse
import json
import random
import statistics
import threading
import time
import urllib.request


def model_of(url):
    with urllib.request.urlopen(url + "/v1/models") as answer:
        return next(card["id"] for card in json.load(answer)["data"] if card["kind"] == "text")


def random_prompt(seed, tokens):
    rng = random.Random(seed)
    return [rng.randrange(10, 1000) for _ in range(tokens)]


def run_request(url, model, options, seed, results):
    prompt = random_prompt(seed, options.prompt_tokens)
    # A token may print nothing (part of a character): with probabilities every token is an event.
    body = {"model": model, "prompt": prompt, "max_tokens": options.tokens, "temperature": 0, "stream": True, "logprobs": 0}
    start = time.perf_counter()
    times = []
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        for line in answer:
            if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["logprobs"]["tokens"]:
                times.append(time.perf_counter())
    results.append((start, times))


def measure(url, model, options, count, seed):
    results = []
    threads = [threading.Thread(target=run_request, args=(url, model, options, seed + i, results)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begin = max(times[0] for _, times in results)
    end = min(times[-1] for _, times in results)
    tokens = sum(begin < t <= end for _, times in results for t in times)
    first = statistics.median(times[0] - start for start, times in results)
    return tokens / (end - begin) if end > begin else float("nan"), first


def peak_memory(url):
    with urllib.request.urlopen(url + "/metrics") as answer:
        return next(float(line.split()[1]) / 2**20 for line in answer.read().decode().splitlines()
                    if line.startswith("stamp_peak_resident_bytes "))


def steady(url, model, options):
    end, answers, errors = time.perf_counter() + options.steady, [0] * options.clients, []

    def client(number):
        while time.perf_counter() < end:
            results = []
            try:
                run_request(url, model, options, number * 10**6 + answers[number], results)
                answers[number] += 1  # whole, or ended by the model
            except Exception as error:  # counted, whatever it is
                errors.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(options.clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        print(f"{max(0, end - time.perf_counter()):5.0f} s left, {sum(answers)} answers, {len(errors)} errors, "
              f"peak memory {peak_memory(url):.0f} MiB", flush=True)
        time.sleep(options.steady / 8)
    print(f"{options.clients} clients, {sum(answers)} answers of up to {options.tokens} tokens, {len(errors)} errors "
          f"{errors[:1]}; a client got {min(answers)} to {max(answers)}")


def first_token(url, model, prompt):
    """Seconds to the only token, and how many tokens of the prompt were taken over."""
    body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    start = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        usage = json.load(answer)["usage"]
    return time.perf_counter() - start, usage["prompt_tokens_details"]["cached_tokens"]


def prefix(url, model, options):
    names = ("first", "the same again", "another tail")
    seconds, cached = {name: [] for name in names}, {}
    first_token(url, model, random_prompt(-1, options.shared_tokens))  # warm
    for number in range(options.prefix):
        shared = random_prompt(f"shared {number} {time.time_ns()}", options.shared_tokens)
        tails = [random_prompt(f"tail {number} {i}", options.tail_tokens) for i in range(2)]
        for name, tail in zip(names, (tails[0], tails[0], tails[1])):
            time_taken, cached[name] = first_token(url, model, shared + tail)
            seconds[name].append(time_taken)
    print(f"{options.prefix} rounds, {options.shared_tokens} shared tokens and {options.tail_tokens} others\n"
          "| prompt | tokens taken over | seconds to the first token | times the first |\n|---|---|---|---|")
    for name in names:
        ratios = [b / a for a, b in zip(seconds["first"], seconds[name])]
        print(f"| {name} | {cached[name]} | {spread(seconds[name])} | {spread(ratios)} |")


def spread(values):
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--concurrent", default="1,4,16")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--steady", type=float, help="seconds")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--prefix", type=int, metavar="ROUNDS")
    parser.add_argument("--shared-tokens", type=int, default=1500)
    parser.add_argument("--tail-tokens", type=int, default=50)
    options = parser.parse_args()
    model = model_of(options.url)
    if options.prefix:
        return prefix(options.url, model, options)
    if options.steady:
        return steady(options.url, model, options)
    measure(options.url, model, options, 1, 0)  # warm
    single = None
    print("| requests at once | tokens/s | times one | seconds to the first token |\n|---|---|---|---|")
    for count in map(int, options.concurrent.split(",")):
        rate, first = measure(options.url, model, options, count, 1000 * count)
        single = single or rate
        print(f"| {count} | {rate:.1f} | {rate / single:.2f} | {first:.2f} |")


if __name__ == "__main__":
    main()
