#!/usr/bin/env python3
"""What it costs that the programs which ship are static: another C library, another allocator.

    static_cost.py [--static target/x86_64-unknown-linux-musl/release] [--against target/release]
                   [--rounds 5] [--files 5000] [--tree 500000] [--home /dev/shm]

Two builds of both programs take turns. Loads, over TLS and a folder in memory as the store, so that no disk
hides the difference: small files and one large file into the server, as in `data_path.py`; FILES new small
files through the whole pair, from the client's start to its last row; a start of the client over TREE files that it
knows. Prints for each the static programs' rate or seconds and CPU time, and both against the others', within a
round. One round before the first is not counted.

Needs openssl, `cargo build --release` and `packaging/build-static.sh`.
"""

import argparse
import hashlib
import random
import shutil
import tempfile
import time
from pathlib import Path

from against_s5cmd import CLIENT, pin
from daemons import KEY, ROOT, cpu_seconds, make_certificate, most_memory, spread, start, stop, wait_for_rows
from data_path import SMALL_BYTES, large_over_tls, serve, small_over_tls
from scan_speed import prepare, scan

SERVER = """
server: {{host: 127.0.0.1, port: 0, tls: {tls}}}
directory: {{path: {store}}}
clients: [{{name: host, api_key: %s, max_file_size_mb: 10240}}]
""" % KEY
LARGE_MB = 512


class Scene:
    """What both builds are given."""

    def __init__(self, home, arguments):
        self.home, self.arguments = home, arguments
        self.tls, self.certificate = make_certificate(home), home / "cert.pem"
        chance = random.Random(7)
        self.small, self.large = home / "small", home / "large.bin"
        self.small.mkdir()
        for number in range(arguments.files):
            (self.small / f"{number:06}.bin").write_bytes(chance.randbytes(SMALL_BYTES))
        with open(self.large, "wb") as file:
            for _ in range(LARGE_MB):
                file.write(chance.randbytes(1024**2))
        with open(self.large, "rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.known = prepare(argparse.Namespace(home=home, client=arguments.against / "s3up", shuffled=False),
                             "known", arguments.tree, max(1, arguments.tree // 125))

    def serve(self, programs):
        store = self.home / "store"
        shutil.rmtree(store, ignore_errors=True)
        store.mkdir()
        return serve(self.home, "server", SERVER.format(tls=self.tls, store=store), programs=programs)


def small_to_server(scene, programs):
    server, port = scene.serve(programs)
    seconds, _ = small_over_tls(scene.small, "small", port, scene.certificate)
    return seconds, cpu_seconds(server), most_memory(server), [server]


def large_to_server(scene, programs):
    server, port = scene.serve(programs)
    seconds = large_over_tls(scene.large, scene.sha256, "large.bin", port, scene.certificate)
    return seconds, cpu_seconds(server), most_memory(server), [server]


def pair(scene, programs):
    server, port = scene.serve(programs)
    database = scene.home / "client.db"
    for old in scene.home.glob("client.db*"):
        old.unlink()
    (scene.home / "client.yaml").write_text(CLIENT.format(
        port=port, key=KEY, pin=pin(scene.home), home=scene.home, tree=scene.small, rest=1, concurrency=4))
    began = time.monotonic()
    log, client = start(scene.home, "s3up", "client", programs=programs)
    wait_for_rows(log, client, database, scene.arguments.files)
    seconds = time.monotonic() - began - 1
    memory = most_memory(server) + most_memory(client)
    return seconds, cpu_seconds(server) + cpu_seconds(client), memory, [client, server]


def known_tree(scene, programs):
    arguments = argparse.Namespace(client=programs / "s3up")
    seconds, client = scan(arguments, scene.known, scene.arguments.tree)
    return seconds, cpu_seconds(client), most_memory(client), [client]


LOADS = {
    "small files into the server": small_to_server,
    f"{LARGE_MB} MiB into the server": large_to_server,
    "small files through the pair": pair,
    "a start over known files": known_tree,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--static", type=Path, default=ROOT / "target/x86_64-unknown-linux-musl/release")
    parser.add_argument("--against", type=Path, default=ROOT / "target/release")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--tree", type=int, default=500_000)
    parser.add_argument("--home", default="/dev/shm")
    arguments = parser.parse_args()
    builds = {"static": arguments.static.resolve(), "against": arguments.against.resolve()}
    with tempfile.TemporaryDirectory(prefix="s3up-static-cost-", dir=arguments.home) as folder:
        scene = Scene(Path(folder), arguments)
        print("| load | seconds | against | CPU-s | against | MB | against |\n|---|---|---|---|---|---|---|")
        for load, run in LOADS.items():
            figures = {build: [] for build in builds}
            for number in range(-1, arguments.rounds):
                for build in sorted(builds, reverse=number % 2 == 0):
                    *measured, running = run(scene, builds[build])
                    for process in running:
                        stop(process)
                    if number >= 0:
                        figures[build].append(measured)
            print(f"| {load} ", end="")
            for ours, theirs in zip(zip(*figures["static"]), zip(*figures["against"])):
                print(f"| {spread(ours)} | {spread([a / b for a, b in zip(ours, theirs) if b])} ", end="")
            print("|", flush=True)


if __name__ == "__main__":
    main()
