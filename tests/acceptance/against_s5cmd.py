#!/usr/bin/env python3
"""The pair against `s5cmd`, same files, same S3 server, one after the other in one run.

Two loads: 10,000 files of 4 KiB that are there when the client starts, and one file of 512 MiB. s5cmd
is the peer that speaks to S3 straight from the host, with S3's credentials on it; the pair goes by the
server. Times of the pair run from the client's start to its last row, the wait of 3 s for files to rest
included and also given apart. Prints ratios; asserts only that all arrived.

Needs s5cmd on the PATH, `cargo build --release`, an S3 server and a bucket that may be filled:

    S3_ENDPOINT=http://127.0.0.1:3900 S3_REGION=garage S3_BUCKET=mycompany-backups \\
    S3_ACCESS_KEY_ID=... S3_SECRET_ACCESS_KEY=... tests/acceptance/against_s5cmd.py
"""

import random
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from daemons import (DEADLINE_SECONDS, KEY, SERVER, cpu_seconds, line_with, most_memory, s5cmd, start,
                     stop)

REST_SECONDS = 3
RUN = f"run-{random.randrange(16**8):08x}"


def small_files(tree, chance):
    for number in range(10_000):
        path = tree / f"{number // 200:03}" / f"{number:05}.bin"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(chance.randbytes(4096))


def one_large_file(tree, chance):
    tree.mkdir(parents=True)
    with open(tree / "large.bin", "wb") as file:
        for _ in range(512):
            file.write(chance.randbytes(1024**2))


def by_s5cmd(tree):
    return s5cmd(f"{tree}/", f"{RUN}/s5cmd/{tree.name}/")


def rows(database):
    try:
        return sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(
            "SELECT count(*) FROM files").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def by_the_pair(home, tree, count):
    (home / "server.yaml").write_text(SERVER.format(tls="{enabled: false}", prefix=f"{RUN}/pair"))
    log, server = start(home, "s3up-server", "server")
    url = line_with(log, server, r"listening on (\S+)")[1]
    (home / "client.yaml").write_text(f"""
server: {{url: "{url}", api_key: {KEY}}}
database: {{path: {home}/{tree.name}.db}}
watches: [{{local_path: {tree}, remote_prefix: {tree.name}}}]
scan: {{upload_existing: true}}
stability: {{debounce_seconds: {REST_SECONDS}}}
""")
    began = time.monotonic()
    log, client = start(home, "s3up", "client")
    while rows(home / f"{tree.name}.db") < count:
        if time.monotonic() - began > DEADLINE_SECONDS or client.poll() is not None:
            sys.exit(f"not all arrived, see {home}")
        time.sleep(0.05)
    seconds = time.monotonic() - began
    cpu = cpu_seconds(server) + cpu_seconds(client)
    memory = most_memory(server), most_memory(client)
    for process in (client, server):
        stop(process)
    return seconds, cpu, memory


def main():
    chance = random.Random(11)
    for name, make, count, size in [("small", small_files, 10_000, 10_000 * 4096 / 1e9),
                                    ("large", one_large_file, 1, 512 * 1024**2 / 1e9)]:
        with tempfile.TemporaryDirectory(prefix="s3up-against-") as home:
            tree = Path(home) / name
            make(tree, chance)
            peer = by_s5cmd(tree)
            seconds, cpu, memory = by_the_pair(Path(home), tree, count)
            work = seconds - REST_SECONDS
            print(f"{name}: s5cmd {peer:.1f} s; pair {seconds:.1f} s, without the wait {work:.1f} s = "
                  f"{work / peer:.2f} x s5cmd; {cpu:.1f} CPU-s ({cpu / size:.1f} a GB, "
                  f"{cpu / count * 1e6:.0f} us a file); at most {memory[0]:.0f} MB server, "
                  f"{memory[1]:.0f} MB client")


main()
