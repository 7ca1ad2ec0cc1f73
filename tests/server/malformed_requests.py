#!/usr/bin/env python3
"""Sends thousands of malformed requests to a running `stamp serve`, while a normal client must keep getting right answers.

Usage: malformed_requests.py URL MODEL PID [--requests 10000] [--seed 1] [--clients 4]

Every kind of request below says which answers it may get; a 500, a broken answer, or none where there must be one is a
failure, and so are a server that has grown, that keeps connections or sequences, or that ended. Standard library only.
"""
import argparse
import collections
import json
import os
import random
import sys
import threading
import urllib.parse

from raw_http import Connection, NormalClient, becomes, metric, request

TEXT, CHAT, IMAGES = "/v1/completions", "/v1/chat/completions", "/v1/images/generations"
CLOSED = 0  # no answer, and the connection ended
REFUSED = {400, 404}
MOST_GROWTH = 24 << 20  # bytes of resident memory, without files, between a tenth of the requests and their end


class Kinds:
    """One method per kind of request: what to send, and the set of statuses that are right."""

    def __init__(self, rng, model, image_model):
        self.rng, self.model, self.image_model = rng, model, image_model

    def valid(self):
        body = {"model": self.model, "prompt": self.rng.choice(["The kernel", "a", "Zug um Zug \u00e9\U0001f600"]), "max_tokens": 2}
        chat = {"model": self.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "stop": ["x"], "seed": 3}
        image = {"model": self.image_model, "prompt": "a red ball", "size": "16x24", "steps": 1, "seed": 1}
        # Pictures are drawn one after the other: fewer of them.
        return self.rng.choice([(TEXT, body), (TEXT, body | {"stream": True}), (CHAT, chat), (CHAT, chat | {"stream": True})] * 4
                               + [(IMAGES, image)])

    def noise(self, most):
        return self.rng.randbytes(self.rng.randrange(1, most))

    def random_body(self):
        return request("POST", self.valid()[0], self.noise(3000)), {400}

    def random_bytes(self):
        return self.noise(3000), {400, 431, CLOSED}

    def mutated(self):
        path, body = self.valid()
        text = bytearray(json.dumps(body).encode())
        for _ in range(self.rng.choice([1, 1, 2, 5])):
            at = self.rng.randrange(len(text) + 1)
            action = self.rng.randrange(4)
            if action == 0:
                text[at:at] = self.noise(4)
            elif action == 1:
                del text[at:at + self.rng.randrange(1, 8)]
            elif action == 2:
                text[at:at] = self.rng.choice(b'{}[]",:-0eE\\').to_bytes(1, "little")
            else:
                end = min(len(text), at + self.rng.randrange(20))
                text[at:at] = text[at:end]
            if not text:
                text = bytearray(b"0")
        return request("POST", path, bytes(text)), REFUSED | {200, 429 if path == IMAGES else 200}

    def odd_value(self):
        path, body = self.valid()
        odd = [None, True, False, 0, -1, 1.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -2**63, 2**64, "",
               "\0", "\ufffd" * 50, "x" * 5000, [], {}, [[]], [None], {"": ""}, [1] * 500, ["a"] * 100, [[[[[1]]]]], [{}] * 20]
        key = self.rng.choice(list(body) + ["temperature", "top_p", "top_k", "n", "logprobs", "seed", "stop", "user", "stream",
                                            "stream_options", "logit_bias", "repetition_penalty", "suffix", "tools"])
        body[key] = self.rng.choice(odd)
        return request("POST", path, json.dumps(body).encode()), REFUSED | {200}

    def odd_number(self):
        number = self.rng.choice(["1e999", "-1e999", "9" * 5000, "1e-99999", "0x10", "NaN", "Infinity", "01", "1.", "+1", "1e"])
        key = self.rng.choice(["max_tokens", "temperature", "seed", "n", "top_k", "prompt"])
        # "prompt": 1e-99999 is the number 0; as a temperature or a seed it is right.
        text = f'{{"model": "{self.model}", "prompt": "a", "max_tokens": 1, "{key}": {number}}}'
        if key not in ("max_tokens", "prompt"):
            return request("POST", TEXT, text.encode()), {400, 200} if number == "1e-99999" else {400}
        return request("POST", TEXT, text.encode()), {400}  # the same key twice

    def nested(self):
        depth = self.rng.choice([65, 1000, 100000, 1000000])
        opening = self.rng.choice(["[", '{"a":', '[{"prompt":'])
        return request("POST", self.valid()[0], (opening * (depth * 2 // len(opening) + 65)).encode()), {400}

    def many_values(self):
        body = '{"model": "%s", "prompt": [%s]}' % (self.model, ",".join(["1"] * self.rng.choice([5000, 400000])))
        return request("POST", TEXT, body.encode()), {400}

    def long_text(self):
        piece = self.rng.choice(["a", " ", "\n", "ab ", "\u00e9", "\U0001f600", "1", "'s", "x\u0301"])
        text = piece * self.rng.choice([30000, 200000])
        path, body = self.rng.choice([(TEXT, {"prompt": text}), (CHAT, {"messages": [{"role": "user", "content": text}]})])
        return request("POST", path, json.dumps({"model": self.model, **body}, ensure_ascii=False).encode()), {400} if text.strip() else {400, 200}

    def wrong_length(self):
        path, body = self.valid()
        text = json.dumps(body)
        value = self.rng.choice([str(len(text) - 5), str(len(text) + 50), "-1", "x", "1e3", "99999999999999999999", "4294967296",
                                 "5000000", "", "0", "+5", "5, 5", f"{len(text)}\r\nContent-Length: 1",
                                 f"{len(text)}\r\nTransfer-Encoding: chunked"])
        return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {value}\r\n\r\n"
                f"{text}").encode("latin-1"), {400, 413, CLOSED}

    def chunked(self):
        path, body = self.valid()
        text = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b""
        while text:
            size = self.rng.randrange(1, 30)
            chunks += f"{len(text[:size]):x}{self.rng.choice(['', ';a=b', ';' + 'c' * 300])}\r\n".encode() + text[:size] + b"\r\n"
            text = text[size:]
        broken = self.rng.choice([b"", b"zz\r\n", b"ffffffffffffffff\r\n", b"-5\r\n", b"5\r\nabc", b"\r\n\r\n", b";" * 70000,
                                  b"fffffff\r\n" + b"a" * 9000])
        if not broken:
            return head.encode() + chunks + b"0\r\n\r\n", {200, 429 if path == IMAGES else 200}
        cut = self.rng.choice([0, len(chunks) // 2, len(chunks)])
        return head.encode() + chunks[:cut] + broken, {400, 413, 431, CLOSED}

    def headers(self):
        lines = self.rng.choice([["X: " + "x" * self.rng.choice([17000, 200000])], [f"X-{i}: y" for i in range(3000)],
                                 ["X" * 20000 + ": y"], ["no colon"], [": no name"], ["X: a\0b"], ["\tfolded"], ["X : y"],
                                 ["Cookie: " + "\xff" * 200 + "\r\nX\x01: 2"]])
        return request("GET", "/health", headers=lines), {400, 431, 200, 403}  # a folded line is part of Host

    def paths(self):
        path = self.rng.choice(["/" + "a" * 15000, "/" + "a" * 60000, "*", "http://localhost/health", "/%00", "/../../etc/passwd",
                                "/health/", "//health", "/health%20", "/v1/models/../completions", "/\xff\xfe", "?", "/ HTTP/1.1 x"])
        return request("GET", path), {400, 404, 431}

    def method(self):
        word = self.rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "get", "FOO", "A" * 100])
        return request(word, self.rng.choice([TEXT, CHAT, IMAGES])), {405, 400}

    def version(self):
        word = self.rng.choice(["HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "HTTP/", "http/1.1", "ICY", "HTTP/1.1 "])
        return f"GET /health {word}\r\nHost: localhost\r\n\r\n".encode(), {400}

    def host(self):
        name = self.rng.choice(["evil.example", "localhost.evil", "[::2]", "127.0.0.1.", "", "128.0.0.1", "localhost\t", "a" * 5000])
        return f"GET /health HTTP/1.1\r\nHost: {name}\r\n\r\n".encode(), {403} if name not in ("127.0.0.1.", "localhost\t") else {200}

    def media_type(self):
        path, body = self.valid()
        text = json.dumps(body)
        name = self.rng.choice(["text/plain", "", "application/x-www-form-urlencoded", "application/json5", "\xff", "x" * 3000])
        return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {name}\r\nContent-Length: {len(text)}\r\n\r\n{text}"
                ).encode("latin-1"), {415}

    def truncated(self):
        """The caller closes without waiting for an answer."""
        path, body = self.valid()
        whole = request("POST", path, json.dumps(body).encode())
        return whole[:self.rng.randrange(len(whole))], {CLOSED}

    def leaving(self):
        path, body = self.rng.choice([(TEXT, {"prompt": "The kernel", "max_tokens": 64}),
                                      (TEXT, {"prompt": "The kernel", "max_tokens": 64, "stream": True})])
        return request("POST", path, json.dumps({"model": self.model, **body}).encode()) + self.rng.choice([b"", b"\r\n"]), {CLOSED}


def pipelined(rng, kinds, port):
    """Several requests at once; the answers come in their order."""
    health, nowhere = (request("GET", "/health"), 200), (request("GET", "/nowhere"), 404)
    bad = (request("POST", TEXT, b"{"), 400)
    good = (request("POST", TEXT, json.dumps({"model": kinds.model, "prompt": "a", "max_tokens": 1}).encode()), 200)
    chosen = rng.choices([health, nowhere, bad, good], k=rng.randrange(2, 12))
    with Connection(port) as connection:
        connection.send(b"".join(text for text, _ in chosen))
        for text, status in chosen:
            got = connection.read()
            assert got.status == status, f"pipelined {text[:40]!r}: expected {status}, got {got.status}"
    return "in order"


def check_error(answer):
    error = answer.json()["error"]
    assert error["message"] and error["type"] and set(error) == {"message", "type", "param", "code"}, error


def exchange(name, rng, kinds, port):
    """Sends one request of the kind `name` (or several at once); returns what came of it."""
    if name == "pipelined":
        return pipelined(rng, kinds, port)
    data, right = getattr(kinds, name)()
    with Connection(port) as connection:
        connection.send(data)
        if name in ("truncated", "leaving"):
            if rng.random() < 0.5:
                connection.end_sending()
            return "left"
        if CLOSED in right:
            connection.end_sending()  # or the server waits for the rest
        answer = connection.read(head_only=False)
        shown = f"{data[:300]!r} ... {len(data)} bytes"
        assert answer.status in right, f"{name}: expected {sorted(right)}, got {answer.status} {answer.body[:300]!r} for {shown}"
        if answer.status >= 400:
            check_error(answer)
    return str(answer.status or "closed")


class Traffic:
    NAMES = sorted(name for name, value in vars(Kinds).items() if callable(value) and not name.startswith("_")
                   and name not in ("valid", "noise")) + ["pipelined"]

    def __init__(self, options, port):
        self.options, self.port = options, port
        self.lock, self.sent, self.counts, self.problem = threading.Lock(), 0, collections.Counter(), None
        self.memory = None

    def client(self, number):
        rng = random.Random(self.options.seed * 1000 + number)
        kinds = Kinds(rng, self.options.model, self.options.image_model)
        while self.problem is None and self.sent < self.options.requests:
            name = rng.choice(self.NAMES)
            try:
                outcome = exchange(name, rng, kinds, self.port)
            except Exception as error:
                self.problem = f"{name}: {type(error).__name__}: {error}"
                return
            with self.lock:
                self.sent += 1
                self.counts[name, outcome] += 1
                if self.memory is None and self.sent >= self.options.requests // 10:
                    self.memory = resident(self.options.pid)

    def run(self):
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(self.options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.problem is None, self.problem

    def print(self):
        for name in self.NAMES:
            print(f"  {name:14}" + ", ".join(f"{count} {outcome}" for (kind, outcome), count in sorted(self.counts.items()) if kind == name))


def resident(pid):
    """Without pages of files: how many of the weights' are mapped is the system's choice."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) << 10


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def check(options, port):
    normal = NormalClient(port, options.model)
    open_before = descriptors(options.pid)
    normal.start()
    traffic = Traffic(options, port)
    traffic.run()
    normal.finish()
    traffic.print()
    for name in ("stamp_sequences_running", "stamp_sequences_waiting", "stamp_cache_bytes"):
        assert becomes(lambda: metric(port, name) == 0), f"{name} is {metric(port, name)} after everybody has left"
    assert becomes(lambda: descriptors(options.pid) <= open_before), \
        f"{descriptors(options.pid)} open files after everybody has left, {open_before} before"
    end = resident(options.pid)
    assert end - traffic.memory < MOST_GROWTH, f"resident memory grew from {traffic.memory >> 20} to {end >> 20} MiB"
    print(f"ok: {traffic.sent} malformed requests; a normal client got {len(normal.seconds)} right answers meanwhile, the slowest "
          f"in {max(normal.seconds):.2f} s; resident memory {traffic.memory >> 20} MiB after a tenth, {end >> 20} MiB at the end")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("pid", type=int)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    port = urllib.parse.urlsplit(options.url).port
    with Connection(port) as connection:
        connection.send(request("GET", "/v1/models"))
        cards = connection.read().json()["data"]
    options.image_model = next((card["id"] for card in cards if card["kind"] == "image"), "none")
    try:
        check(options, port)
    except AssertionError as error:
        sys.exit(f"malformed requests (seed {options.seed}): {error}")


if __name__ == "__main__":
    main()
