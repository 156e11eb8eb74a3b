#!/usr/bin/env python3
"""The server's way to S3 against `s5cmd` and `rclone`, which write straight to the same S3 server.

Small files: so many of 4 KiB. Ours come over TLS on 8 kept-alive connections, from a sender that has
prepared everything before the clock starts (`tests/benches/small_sender.rs`); the clock stops with the last
answer. On few cores a sender that costs much would be measured instead of the server.
s5cmd copies the same files from a folder by 8 workers, and by as many as it wants (256); rclone by 8
transfers. Large file: one of 512 MiB, ours over one connection, its digest known beforehand, as our
client sends it. What the server's CPU time a GB is compared with is measured beside it: what one TLS
pass and SHA-256 cost on this machine (`cargo bench --bench tls_digest`).

Everybody takes turns in every round, beginning with another one each time, and is compared within a
round. Prints tables in Markdown: medians and, in brackets, least and most. Whether the sender of small
files could be what limits us is shown as well: how busy it was, and what it reaches where the server
stores nothing but in a folder.

Needs openssl, s5cmd and rclone on the PATH (or named by options), `cargo build --release`, an S3 server
and a bucket that may be filled. Name s5cmd's own program: as Python's package it comes behind a script, which
takes a fifth of a second before it starts:

    S3_ENDPOINT=http://127.0.0.1:3900 S3_REGION=garage S3_BUCKET=mycompany-backups \\
    S3_ACCESS_KEY_ID=... S3_SECRET_ACCESS_KEY=... tests/acceptance/data_path.py
"""

import argparse
import hashlib
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daemons import (KEY, ROOT, SERVER, cpu_seconds, line_with, make_certificate, most_memory, peer_environment,
                     s5cmd, spread, start, stop, timed)

CONNECTIONS = 8
SMALL_BYTES = 4096
PIECE_BYTES = 1024**2
BOUNDARY = "----where-one-part-ends"
RUN = f"run-{random.randrange(16**8):08x}"


def form(fields, size):
    """What stands before and after a file of this size in a request that uploads it."""
    part = "--{}\r\nContent-Disposition: form-data; name=\"{}\"{}\r\n\r\n"
    before = "".join(part.format(BOUNDARY, name, "") + value + "\r\n" for name, value in fields.items())
    before += part.format(BOUNDARY, "file", "; filename=\"f\"")
    after = f"\r\n--{BOUNDARY}--\r\n"
    head = (f"POST /upload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
            f"Content-Length: {len(before) + size + len(after)}\r\n\r\n")
    return (head + before).encode(), after.encode()


def connect(port, certificate):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.create_default_context(cafile=certificate)
    return context.wrap_socket(connection, server_hostname="localhost")


def take_answer(connection):
    """Reads an answer, which must say that the file was stored."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536) or sys.exit("the server has closed the connection")
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += connection.recv(65536) or sys.exit("the server has closed the connection")
    if not head.startswith(b"HTTP/1.1 200 "):
        sys.exit(f"{head!r} {body!r}")


def small_over_tls(tree, prefix, port, certificate):
    """Uploads all files of a folder. Returns seconds, and how many of them the sender was busy."""
    command = ["cargo", "bench", "--quiet", "--bench", "small_sender", "--", "--port", str(port), "--certificate",
               certificate, "--key", KEY, "--folder", tree, "--prefix", prefix, "--connections", str(CONNECTIONS)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, busy = re.fullmatch(r"([\d.]+) s, ([\d.]+) s of CPU\n", output).groups()
    return float(seconds), float(busy)


def large_over_tls(file, sha256, path, port, certificate):
    """Uploads one file over one connection. Returns seconds."""
    size = file.stat().st_size
    before, after = form({"path": path, "sha256": sha256}, size)
    with open(file, "rb") as content, connect(port, certificate) as connection:
        began = time.monotonic()
        connection.sendall(before)
        while piece := content.read(PIECE_BYTES):
            connection.sendall(piece)
        connection.sendall(after)
        take_answer(connection)
        return time.monotonic() - began


def rclone(arguments, source, target):
    bucket = os.environ["S3_BUCKET"]
    return timed([arguments.rclone, "copy", "--transfers", str(CONNECTIONS), source, f":s3:{bucket}/{target}"])


def tls_digest_seconds_per_gb():
    """CPU time of the plain receiver in tests/benches, in seconds a GB."""
    command = ["cargo", "bench", "--quiet", "--bench", "tls_digest"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(re.search(r"([\d.]+) CPU-s a GB", output)[1])


def make_files(home, arguments, chance):
    small = home / "small"
    small.mkdir()
    for number in range(arguments.files):
        (small / f"{number:06}.bin").write_bytes(chance.randbytes(SMALL_BYTES))
    large = home / "large.bin"
    digest = hashlib.sha256()
    with open(large, "wb") as file:
        for _ in range(arguments.large_mib):
            piece = chance.randbytes(1024**2)
            digest.update(piece)
            file.write(piece)
    return small, large, digest.hexdigest()


def serve(home, name, configuration, **which):
    (home / f"{name}.yaml").write_text(configuration)
    log, server = start(home, "s3up-server", name, **which)
    return server, int(line_with(log, server, r"listening on \S+:(\d+)")[1])


def check_stored(arguments, key, sha256):
    """What is in the bucket is what was sent."""
    bucket = os.environ["S3_BUCKET"]
    cat = subprocess.Popen([arguments.s5cmd, "cat", f"s3://{bucket}/{key}"], env=peer_environment(),
                           stdout=subprocess.PIPE)
    digest = hashlib.file_digest(cat.stdout, "sha256").hexdigest()
    if cat.wait() or digest != sha256:
        sys.exit(f"{key} is not what was sent")


class Figures:
    """One figure for each way and round."""

    def __init__(self, title, unit, reference):
        self.title, self.unit, self.reference, self.rounds = title, unit, reference, {}

    def note(self, way, value):
        self.rounds.setdefault(way, []).append(value)
        print(f"    {self.title}, {way}: {value:.2f} {self.unit}", file=sys.stderr)

    def table(self):
        lines = [f"| {self.title} | {self.unit} | against {self.reference} |", "|---|---|---|"]
        for way, values in self.rounds.items():
            ratios = [value / other for value, other in zip(values, self.rounds[self.reference])]
            lines.append(f"| {way} | {spread(values)} | {spread(ratios)} |")
        return "\n".join(lines) + "\n"


def small_ways(arguments, tree, server, port, certificate, busy):
    """Each way to store the small files: from a prefix to seconds."""
    def ours(prefix):
        cpu = cpu_seconds(server)
        seconds, senders = small_over_tls(tree, prefix, port, certificate)
        busy.append((senders / seconds, (cpu_seconds(server) - cpu) / arguments.files * 1e6))
        return seconds
    workers = ["--numworkers", str(CONNECTIONS)]
    return {"ours, 8 connections, TLS": ours,
            "s5cmd, 8 workers": lambda prefix: s5cmd(f"{tree}/", f"{RUN}/{prefix}/", *workers, program=arguments.s5cmd),
            "s5cmd": lambda prefix: s5cmd(f"{tree}/", f"{RUN}/{prefix}/", program=arguments.s5cmd),
            "rclone, 8 transfers": lambda prefix: rclone(arguments, tree, f"{RUN}/{prefix}")}


def large_ways(arguments, file, sha256, server, port, certificate, cpu):
    """Each way to store the large file: from a prefix to seconds."""
    def ours(prefix):
        before = cpu_seconds(server)
        seconds = large_over_tls(file, sha256, f"{prefix}/large.bin", port, certificate)
        cpu.note("the server", (cpu_seconds(server) - before) / (file.stat().st_size / 1e9))
        cpu.note("TLS and SHA-256 alone", tls_digest_seconds_per_gb())
        return seconds
    return {"ours, TLS": ours,
            "s5cmd": lambda prefix: s5cmd(file, f"{RUN}/{prefix}/large.bin", program=arguments.s5cmd),
            "rclone": lambda prefix: rclone(arguments, file, f"{RUN}/{prefix}")}


def take_turns(number, ways, amount, figures, load):
    order = list(ways.items())
    order = order[number % len(order):] + order[:number % len(order)]
    for place, (way, run) in enumerate(order):
        figures.note(way, amount / run(f"{load}-{number}-{place}-{way.split()[0].strip(',')}"))


def generator_alone(home, tree, tls, certificate):
    """Uploads a second that the same senders reach when the server stores in a folder."""
    configuration = (f"server: {{host: 127.0.0.1, port: 0, tls: {tls}}}\ndirectory: {{path: {home}/folder}}\n"
                     f"clients: [{{name: host, api_key: {KEY}}}]\n")
    server, port = serve(home, "folder-server", configuration)
    seconds, _ = small_over_tls(tree, "generator", port, certificate)
    stop(server)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--large-mib", type=int, default=512)
    parser.add_argument("--s5cmd", default="s5cmd")
    parser.add_argument("--rclone", default="rclone")
    arguments = parser.parse_args()
    small = Figures(f"{arguments.files} files of 4 KiB", "files/s", "s5cmd, 8 workers")
    large = Figures(f"one file of {arguments.large_mib} MiB", "MB/s", "s5cmd")
    cpu = Figures("CPU", "CPU-s/GB", "TLS and SHA-256 alone")
    busy = []
    with tempfile.TemporaryDirectory(prefix="s3up-data-path-") as folder:
        home = Path(folder)
        tree, file, sha256 = make_files(home, arguments, random.Random(11))
        tls, certificate = make_certificate(home), home / "cert.pem"
        # Builds receiver and sender, which takes its time once.
        tls_digest_seconds_per_gb()
        generator = generator_alone(home, tree, tls, certificate)
        server, port = serve(home, "server", SERVER.format(tls=tls, prefix=f"{RUN}/ours"))
        for number in range(arguments.rounds):
            print(f"round {number + 1}", file=sys.stderr)
            ways = small_ways(arguments, tree, server, port, certificate, busy)
            take_turns(number, ways, arguments.files, small, "small")
            ways = large_ways(arguments, file, sha256, server, port, certificate, cpu)
            take_turns(number, ways, file.stat().st_size / 1e6, large, "large")
        memory = most_memory(server)
        check_stored(arguments, f"{RUN}/ours/host/large-0-0-ours/large.bin", sha256)
        first = sorted(tree.iterdir())[-1]
        check_stored(arguments, f"{RUN}/ours/host/small-0-0-ours/{first.name}",
                     hashlib.sha256(first.read_bytes()).hexdigest())
        stop(server)
    for figures in (small, large, cpu):
        print(figures.table())
    shares, costs = zip(*busy)
    print(f"The server: {spread(costs)} us of CPU a small file, at most {memory:.0f} MB.")
    print(f"The senders of small files: {spread(shares)} of one core; into a folder they and the server reach "
          f"{arguments.files / generator:.0f} files/s.")


if __name__ == "__main__":
    main()
