"""A client on plain sockets that sees what the server sends, byte by byte, and may misbehave (standard library only)."""
import json
import socket
import threading
import time


class Answer:
    """Status (0: the connection ended without an answer), headers in lower case, body."""

    def __init__(self, status=0, headers=None, body=b""):
        self.status, self.headers, self.body = status, headers or {}, body

    def json(self):
        return json.loads(self.body)


class Connection:
    """Raises AssertionError when the server breaks HTTP's rules, TimeoutError when it says nothing for too long."""

    def __init__(self, port, timeout=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """False when the server has closed: it may, as soon as it knows that it refuses."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def end_sending(self):
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already

    def receive(self):
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.bytes += piece
        return bool(piece)

    def take_until(self, mark):
        """What comes before `mark`, or None at the end of the stream."""
        while mark not in self.bytes:
            if not self.receive():
                return None
        found, self.bytes = self.bytes.split(mark, 1)
        return found

    def take(self, count):
        while len(self.bytes) < count:
            assert self.receive(), f"the answer ends {count - len(self.bytes)} bytes early"
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def read(self, head_only=False):
        head = self.take_until(b"\r\n\r\n")
        if head is None:
            assert not self.bytes, f"half an answer: {self.bytes[:100]!r}"
            return Answer()
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1", first
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        answer = Answer(int(status), headers)
        if answer.status == 100:
            return self.read(head_only)
        if head_only:
            return answer
        if headers.get("transfer-encoding") == "chunked":
            while size := int(self.take_until(b"\r\n"), 16):
                answer.body += self.take(size)
                assert self.take(2) == b"\r\n"
            assert self.take(2) == b"\r\n"
        else:
            answer.body = self.take(int(headers["content-length"]))
        return answer


def request(method, path, body=None, headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class NormalClient(threading.Thread):
    """Asks for the same greedy texts again and again, and stops at the first answer that differs from the first round's."""

    PROMPTS = ("The kernel", "A chair is", "Memory")

    def __init__(self, port, model, pause=0.02):
        super().__init__(daemon=True)
        self.port, self.model, self.pause = port, model, pause
        self.done, self.problem, self.seconds = threading.Event(), None, []
        self.expected = [self.ask(prompt) for prompt in self.PROMPTS]

    def ask(self, prompt):
        body = {"model": self.model, "prompt": prompt, "max_tokens": 8, "temperature": 0, "logprobs": 1}
        with Connection(self.port) as connection:
            connection.send(request("POST", "/v1/completions", json.dumps(body).encode()))
            answer = connection.read()
        assert answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}"
        return answer.json()["choices"]

    def run(self):
        try:
            while not self.done.is_set():
                for prompt, expected in zip(self.PROMPTS, self.expected):
                    start = time.perf_counter()
                    got = self.ask(prompt)
                    self.seconds.append(time.perf_counter() - start)
                    assert got == expected, f"{prompt!r}: expected {expected}, got {got}"
                self.done.wait(self.pause)
        except Exception as error:  # whatever it is, the client did not get what it had asked for
            self.problem = f"{type(error).__name__}: {error}"

    def finish(self):
        """Exits when an answer was wrong or missing."""
        self.done.set()
        self.join(120)
        assert not self.is_alive(), "the normal client waits for an answer"
        assert self.problem is None, f"the normal client got a wrong answer after {len(self.seconds)} right ones: {self.problem}"
        assert self.seconds, "the normal client got no answer"


def metric(port, name):
    with Connection(port) as connection:
        connection.send(request("GET", "/metrics"))
        text = connection.read().body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def becomes(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
