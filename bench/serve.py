#!/usr/bin/env python3
"""Tokens per second of concurrent requests to a running `stamp serve`, beside those of one.

Usage: serve.py URL [--concurrent 1,4,16] [--tokens 64] [--prompt-tokens 128]

Every request has a prompt of its own (random words), is greedy and streams. Printed are tokens per second of all requests
together from the first token of the last one to start until the first one ends, so that prompts do not count, and the
median seconds to the first token.
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


def run_request(url, model, options, seed, results):
    rng = random.Random(seed)
    prompt = [rng.randrange(10, 1000) for _ in range(options.prompt_tokens)]
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--concurrent", default="1,4,16")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    options = parser.parse_args()
    model = model_of(options.url)
    measure(options.url, model, options, 1, 0)  # warm
    single = None
    print("| requests at once | tokens/s | times one | seconds to the first token |\n|---|---|---|---|")
    for count in map(int, options.concurrent.split(",")):
        rate, first = measure(options.url, model, options, count, 1000 * count)
        single = single or rate
        print(f"| {count} | {rate:.1f} | {rate / single:.2f} | {first:.2f} |")


if __name__ == "__main__":
    main()
