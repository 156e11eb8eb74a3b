#!/usr/bin/env python3
"""The pair against `s5cmd`, same files, same S3 server, several rounds in turn.

Three loads: 10,000 new files of 4 KiB that are written while the client runs; as many that are there when
it starts; and one file of 512 MiB that is there. s5cmd is the peer that speaks to S3 straight from the
host, with S3's credentials on it and up to 256 requests at a time; the pair goes by the server, with TLS
between the two, and by so many files at a time as `--concurrency` says.

Times of the pair run from the last write, or from the client's start, to its last row; the wait of 3 s for
files to rest is subtracted before they are compared with s5cmd's. Prints medians and, in brackets, least
and most of the rounds, ratios within a round. Asserts only that all arrived.

Needs s5cmd and openssl on the PATH, `cargo build --release`, an S3 server and a bucket that may be filled:

    S3_ENDPOINT=http://127.0.0.1:3900 S3_REGION=garage S3_BUCKET=mycompany-backups \\
    S3_ACCESS_KEY_ID=... S3_SECRET_ACCESS_KEY=... tests/acceptance/against_s5cmd.py
"""

import argparse
import hashlib
import random
import ssl
import sys
import tempfile
import time
from pathlib import Path

from daemons import (KEY, SERVER, cpu_seconds, line_with, make_certificate, most_memory, s5cmd, spread, start, stop,
                     wait_for_rows)

REST_SECONDS = 3
RUN = f"run-{random.randrange(16**8):08x}"

CLIENT = """
server: {{url: "https://localhost:{port}", api_key: {key}, certificate_sha256: "{pin}"}}
database: {{path: {home}/client.db}}
watches: [{{local_path: {tree}, remote_prefix: ""}}]
scan: {{upload_existing: true}}
stability: {{debounce_seconds: {rest}}}
upload: {{concurrency: {concurrency}}}
"""


def small_files(tree, chance):
    for number in range(10_000):
        path = tree / f"{number // 200:03}" / f"{number:05}.bin"
        if number % 200 == 0:
            path.parent.mkdir()
        path.write_bytes(chance.randbytes(4096))


def one_large_file(tree, chance):
    with open(tree / "large.bin", "wb") as file:
        for _ in range(512):
            file.write(chance.randbytes(1024**2))


# Of each load: what makes its files, how many and how many GB that is, and whether they come while the
# client runs.
LOADS = {
    "new": (small_files, 10_000, 10_000 * 4096 / 1e9, True),
    "there": (small_files, 10_000, 10_000 * 4096 / 1e9, False),
    "large": (one_large_file, 1, 512 * 1024**2 / 1e9, False),
}


def pin(home):
    """The SHA-256 of the certificate, which is its own issuer: no CA could vouch for it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert((home / "cert.pem").read_text())).hexdigest()


def by_s5cmd(load, chance):
    """Seconds."""
    with tempfile.TemporaryDirectory(prefix="s3up-against-") as tree:
        LOADS[load][0](Path(tree), chance)
        return s5cmd(f"{tree}/", f"{RUN}/s5cmd/{random.randrange(16**8):08x}/")


def by_the_pair(load, concurrency, chance):
    """Seconds beside the wait, and CPU seconds and most memory of server and client."""
    make, count, _, while_it_runs = LOADS[load]
    with tempfile.TemporaryDirectory(prefix="s3up-against-") as folder:
        home = Path(folder)
        tree = home / "tree"
        tree.mkdir()
        prefix = f"{RUN}/pair/{random.randrange(16**8):08x}"
        (home / "server.yaml").write_text(SERVER.format(tls=make_certificate(home), prefix=prefix))
        log, server = start(home, "s3up-server", "server")
        port = line_with(log, server, r"listening on \S+:(\d+)")[1]
        (home / "client.yaml").write_text(CLIENT.format(port=port, key=KEY, pin=pin(home), home=home, tree=tree,
                                                        rest=REST_SECONDS, concurrency=concurrency))
        if not while_it_runs:
            make(tree, chance)
        began = time.monotonic()
        log, client = start(home, "s3up", "client")
        if while_it_runs:
            line_with(log, client, r"scan \(start\)")
            make(tree, chance)
            began = time.monotonic()
        wait_for_rows(log, client, home / "client.db", count)
        seconds = time.monotonic() - began - REST_SECONDS
        processes = server, client
        figures = seconds, *map(cpu_seconds, processes), *map(most_memory, processes)
        stop(client)
        stop(server)
        return figures


def compare(load, concurrencies, rounds, chance):
    """Runs all rounds of a load and prints its rows of the table."""
    ways = [None, *concurrencies]
    results = {way: [] for way in ways}
    for number in range(rounds):
        turn = number % len(ways)
        for way in ways[turn:] + ways[:turn]:
            results[way].append((by_s5cmd(load, chance),) if way is None else by_the_pair(load, way, chance))
            print(f"    {load}, round {number + 1}, {way or 's5cmd'}: {results[way][-1][0]:.1f} s", file=sys.stderr)
    _, count, size, _ = LOADS[load]
    peer = [seconds for seconds, in results[None]]
    print(f"| {load} | s5cmd | {spread(peer)} | - | - | - | - |")
    for way in concurrencies:
        seconds, server_cpu, client_cpu, server_memory, client_memory = zip(*results[way])
        ratios = [one / other for one, other in zip(seconds, peer)]
        unit, scale = ("us a file", 1e6 / count) if count > 1 else ("s a GB", 1 / size)
        cpu = [f"{spread([scale * value for value in values])} {unit}" for values in (server_cpu, client_cpu)]
        print(f"| {load} | pair, {way} at a time | {spread(seconds)} | {spread(ratios)} | {cpu[0]} | {cpu[1]} | "
              f"{max(server_memory):.0f} and {max(client_memory):.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loads", default=",".join(LOADS), help="some of them, such as new,large")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", default="4,8,16", help="values of upload.concurrency")
    arguments = parser.parse_args()
    concurrencies = [int(value) for value in arguments.concurrency.split(",")]
    print("| load | way | seconds | against s5cmd | CPU, server | CPU, client | most MB, server and client |")
    print("|---|---|---|---|---|---|---|")
    for load in arguments.loads.split(","):
        compare(load, concurrencies, arguments.rounds, random.Random(11))


if __name__ == "__main__":
    main()
