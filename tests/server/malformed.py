"""Sends what no client should: HTTP that is broken, lengths that are wrong, JSON that is deep or no JSON, huge headers, UTF-8 that is
none, connections that close halfway. The server must go on, answer nothing of 500 and above but 503, and not grow.

Usage: malformed.py ONESTEP [COUNT]: 10,000 requests, or so many; prints how they were answered, as Markdown."""

import collections
import concurrent.futures
import contextlib
import gzip
import json
import random
import socket
import sys

from served import Server


def request(body, head="POST /api/generate HTTP/1.1", *headers, length=None):
    lines = [head, "Host: 127.0.0.1", *headers]
    if length != "":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


GOOD = [
    request(b'{"count": 1}'),
    request(b'{"seeds": [3, 4], "labels": ["Bag"], "steps": 2, "columns": 2}', "POST /api/generate HTTP/1.1", "Accept: application/json"),
    request(b'{"seeds": [1]}', "POST /api/generate HTTP/1.1", "Accept: text/event-stream"),
    request(b'{"task": "interpolate", "from_seed": 3, "to_seed": 8, "frames": 2}', "POST /api/edit HTTP/1.1"),
    request(b'{"size": [20, 20], "at": [-5, 7], "label": 3}', "POST /api/canvas HTTP/1.1"),
    request(b'{"prompt": "Bag", "n": 1, "size": "auto"}', "POST /v1/images/generations HTTP/1.1"),
    request(b"", "GET /api/models HTTP/1.1", length=""),
    request(b"", "GET /api/canvas/fashion/0/Bag/3/0/0.png HTTP/1.1", "Range: bytes=0-3", length=""),
    request(b"", "GET /page/main.js HTTP/1.1", "If-None-Match: a", length=""),
]
VALUES = [None, True, -1, 0, 1e400, 2**64, -2**63, 1.5, "", "\0", "é" * 100, "\ud800", [], {}, [[]], {"a": {}}, [0] * 1000, "A" * 1000]


def broken_bytes(dice):
    """A good request with some bytes changed, left out, or put in."""
    bad = bytearray(dice.choice(GOOD))
    for _ in range(dice.randint(1, 8)):
        place = dice.randrange(len(bad))
        action = dice.randrange(3)
        if action == 0:
            bad[place] = dice.randrange(256)
        elif action == 1:
            del bad[place]
        else:
            bad[place:place] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 30)))
    return bytes(bad)


def cut_short(dice):
    good = dice.choice(GOOD)
    return good[:dice.randrange(len(good))]


def noise(dice):
    return dice.randbytes(dice.randint(0, 20_000))


def wrong_length(dice):
    length = dice.choice([-1, 0, 1, 5, 11, 13, 100, 2**31, 2**63, 2**64, "abc", "1 2", "0x10", " ", "12\r\nContent-Length: 3"])
    return request(b'{"count": 1}', length=length)


def odd_coding(dice):
    body = b'{"count": 1}'
    chunks = dice.choice([b"c\r\n%s\r\n0\r\n\r\n" % body, b"ffffffff\r\n%s" % body, b"-1\r\n", b"zz\r\n", b"c\r\n" * 50, (b"1000\r\n" + b" " * 4096 + b"\r\n") * 40])
    packed = gzip.compress(b" " * 1_000_000)
    return dice.choice([request(chunks, "POST /api/generate HTTP/1.1", "Transfer-Encoding: chunked", length=""),
                        request(chunks, "POST /api/generate HTTP/1.1", "Transfer-Encoding: gzip, chunked"),
                        request(packed, "POST /api/generate HTTP/1.1", "Content-Encoding: gzip"),
                        request(body, "POST /api/generate HTTP/1.1", "Content-Type: multipart/form-data; boundary=a"),
                        request(body, "POST /api/generate HTTP/1.1", "Content-Type: application/x-www-form-urlencoded"),
                        request(body, "POST /api/generate HTTP/1.1", "Expect: 100-continue"),
                        request(body, "GET /api/models HTTP/1.1")])


def huge_head(dice):
    return dice.choice([request(b"", "GET /healthz HTTP/1.1", *["X: a"] * dice.randint(1000, 100_000), length=""),
                        request(b"", "GET /healthz HTTP/1.1", "X: " + "a" * dice.randint(1000, 1_000_000), length=""),
                        request(b"", f"GET /{'a' * dice.randint(1000, 1_000_000)} HTTP/1.1", length=""),
                        request(b"", "GET /healthz HTTP/1.1", "Range: bytes=" + ",".join(["0-"] * dice.randint(1, 2000)), length="")])


def odd_line(dice):
    method = dice.choice(["GET", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PRI", "BREW", "get", ""])
    path = dice.choice(["/", "*", "http://127.0.0.1/", "/api/../../etc/passwd", "/%00", "/%", "/page/%2e%2e%2fa", "/api/canvas/a/b/c/d/e/f.png",
                        "/api/canvas/fashion/-1/Bag/0/99999999999/0.png", "/api/canvas/fashion/0/-/0/0/0.png?steps=x", "?", "\x01", "é"])
    return request(b"", f"{method} {path} {dice.choice(['HTTP/1.1', 'HTTP/1.0', 'HTTP/9.9', ''])}", length="")


def odd_json(dice):
    text = dice.choice(["[" * 100_000 + "]" * 100_000, '{"a":' * 50_000, "nul", "1e999999", '"', '{"count": 1', "\ufeff{}", '{"count": 1}' * 2,
                        '{"seeds": [' + "9," * 100_000 + "9]}", '{"count": 1e3}', '{"count": 1, "count": -1}', '{"labels": ["\\ud800"]}'])
    return request(text.encode("utf-8", "surrogatepass"), f"POST {dice.choice(['/api/generate', '/api/edit', '/api/canvas', '/api/compose'])} HTTP/1.1")


def odd_utf8(dice):
    bad = dice.choice([b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\x80"])
    return request(b'{"' + bad + b'": 1}') if dice.random() < 0.5 else request(b'{"labels": ["' + bad + b'"]}')


def odd_field(dice):
    fields = ["model", "seeds", "count", "labels", "sampler", "steps", "levels", "schedule", "options", "guidance", "batch", "sizes", "tokens",
              "conditions", "label_map", "columns", "enlarge", "previews", "task", "picture", "mask", "fit", "factor", "sigma", "size", "at",
              "seamless", "motif", "gap", "freedom", "bars", "key", "tempo", "seed", "prompt", "n", "response_format", "output_format"]
    path = dice.choice(["/api/generate", "/api/edit", "/api/canvas", "/api/compose", "/v1/images/generations"])
    body = {field: dice.choice(VALUES) for field in dice.sample(fields, dice.randint(1, 4))}
    if path == "/api/canvas":
        body.setdefault("size", [8, 8])
    return request(json.dumps(body).encode(), f"POST {path} HTTP/1.1")


KINDS = [broken_bytes, cut_short, noise, wrong_length, odd_coding, huge_head, odd_line, odd_json, odd_utf8, odd_field]


def send(port, data, dice):
    """The statuses of the answers; how the connection ends is up to chance."""
    end = dice.choice(["half", "half", "whole", "wait"])
    answer = b""
    with contextlib.suppress(OSError), contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection:
        for start in range(0, len(data), 1 << 16):
            connection.sendall(data[start:start + (1 << 16)])
        if end == "whole":
            return []
        if end == "half":
            connection.shutdown(socket.SHUT_WR)
        if end == "wait":
            connection.settimeout(0.2)
        while part := connection.recv(1 << 16):
            answer += part
    return [int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


def attack(server, count, clients=8):
    """How often each kind was answered by each status, None for not at all; and memory in MiB after each tenth."""
    answers = {kind.__name__: collections.Counter() for kind in KINDS}

    def one(number):
        dice = random.Random(number)
        kind = KINDS[number % len(KINDS)]
        return kind.__name__, send(server.port, kind(dice), dice) or [None]

    memory = []
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        for tenth in range(10):
            for kind, statuses in pool.map(one, range(count * tenth // 10, count * (tenth + 1) // 10)):
                answers[kind].update(statuses)
            memory.append(server.memory())
    return answers, memory


def main():
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    server = Server(sys.argv[1], "fashion", "--threads", "1", "--quiet")
    answers, memory = attack(server, count)
    statuses = sorted({status for counts in answers.values() for status in counts if status})
    print(f"| {count} requests | " + " | ".join(map(str, statuses)) + " | no answer |")
    print("| --- |" + " --- |" * (len(statuses) + 1))
    for kind, counts in answers.items():
        print(f"| {kind.replace('_', ' ')} | " + " | ".join(str(counts[status]) for status in [*statuses, None]) + " |")
    print("\nMemory after each tenth, MiB: " + ", ".join(f"{each:.0f}" for each in memory))
    bad = [status for status in statuses if status >= 500 and status != 503]
    code = server.end()
    sys.exit(f"statuses {bad}, the server ended with {code}" if bad or code else 0)


if __name__ == "__main__":
    main()
