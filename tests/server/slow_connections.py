#!/usr/bin/env python3
"""Opens connections to a running `stamp serve` that send a byte per second, while a normal client must get right answers.

Usage: slow_connections.py URL MODEL [--connections 500] [--seconds 20] [--read-timeout 30]

Printed are the normal client's seconds per answer before and meanwhile. With --read-timeout, which must be what the server was
told, every slow connection must have been closed by the server that long after it was opened, and a little. Standard
library only.
"""
import argparse
import resource
import select
import socket
import statistics
import sys
import time
import urllib.parse

from raw_http import NormalClient, request

SLACK = 5  # seconds, of a busy machine


class SlowConnections:
    """Half of them keep back their header, half their body."""

    def __init__(self, port, count):
        text = request("POST", "/v1/completions", b"{" + b" " * 1000)
        self.header, self.body = text, text.index(b"\r\n\r\n") + 4
        self.sockets = {}  # how many bytes of `header` each has sent
        for number in range(count):
            connection = socket.create_connection(("127.0.0.1", port), 60)
            connection.setblocking(False)
            self.sockets[connection] = 0 if number % 2 else self.body
            self.send(connection, self.sockets[connection])
        self.opened, self.closed = count, 0

    def send(self, connection, count):
        try:
            connection.send(self.header[:count])
        except OSError:
            pass  # closed by the server: seen when it is read

    def trickle(self):
        """One more byte each, and a look at which were closed."""
        for connection, sent in list(self.sockets.items()):
            try:
                connection.send(self.header[sent:sent + 1])
            except OSError:
                pass
            self.sockets[connection] = min(sent + 1, len(self.header) - 1)
        readable = select.poll()
        by_number = {connection.fileno(): connection for connection in self.sockets}
        for number in by_number:
            readable.register(number, select.POLLIN)
        for number, _ in readable.poll(0):
            connection = by_number[number]
            del self.sockets[connection]
            connection.close()  # there is nothing to read but the end: none has sent a request
            self.closed += 1

    def close(self):
        for connection in self.sockets:
            connection.close()


def ask_alone(port, model, seconds):
    client = NormalClient(port, model)
    client.start()
    time.sleep(seconds)
    client.finish()
    return client.seconds


def summary(seconds):
    return f"{len(seconds)} answers, median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s"


def check(options, port):
    print(f"  alone: {summary(ask_alone(port, options.model, min(5, options.seconds)))}")
    client = NormalClient(port, options.model)
    start = time.monotonic()
    slow = SlowConnections(port, options.connections)
    client.start()
    seconds = options.read_timeout + SLACK if options.read_timeout else options.seconds
    while time.monotonic() - start < seconds:
        time.sleep(1)
        slow.trickle()
    client.finish()
    print(f"  beside {options.connections} slow connections, {slow.closed} of them closed by the server: {summary(client.seconds)}")
    left = slow.opened - slow.closed
    slow.close()
    assert not options.read_timeout or left == 0, f"{left} slow connections are open after {seconds} s"
    print(f"ok: {options.connections} connections that send a byte per second hold up nobody")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--read-timeout", type=float)
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.connections + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    try:
        check(options, urllib.parse.urlsplit(options.url).port)
    except (AssertionError, OSError) as error:
        sys.exit(f"slow connections: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
