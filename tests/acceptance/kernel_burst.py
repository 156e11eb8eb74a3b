#!/usr/bin/env python3
"""A burst of 50,000 files through the two release binaries, while the kernel's queue of events is tiny.

The client starts with `fs.inotify.max_queued_events` at 64, which only counts while it starts; the value
of before is put back at once. Then four processes write, all at the same time, files of every size up to
30 KB, in folders that are made on the way. Fails unless the kernel lost events, every file has its row,
and each is in the store byte for byte. Prints how long after the last write that was, and what it cost.

Needs root, `cargo build --release` and nothing but Python's standard library:

    tests/acceptance/kernel_burst.py
"""

import argparse
import multiprocessing
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from daemons import KEY, cpu_seconds, line_with, most_memory, start, stop, wait_for_rows

HANDS = 4
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

SERVER = """
server: {{host: 127.0.0.1, port: 0}}
directory: {{path: {home}/store, path_prefix: ""}}
clients: [{{name: host, api_key: {key}}}]
"""

CLIENT = """
server: {{url: "http://127.0.0.1:{port}", api_key: {key}}}
database: {{path: {home}/client.db}}
watches: [{{local_path: {home}/files, remote_prefix: ""}}]
stability: {{debounce_seconds: 1}}
"""


def write_some(root, files, hand):
    chance = random.Random(hand)
    for number in range(hand, files, HANDS):
        path = root / f"{number % 7}" / f"{number // 1000}" / f"{number:06}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice([0, 10, 1000, 4096, 30_000])))


def start_with_small_queue(home, events):
    before = QUEUE.read_text()
    try:
        QUEUE.write_text(str(events))
        log, client = start(home, "s3up", "client")
        line_with(log, client, r"watching ")
    finally:
        QUEUE.write_text(before)
    line_with(log, client, r"scan \(start\)")
    return log, client


def compare(root, store):
    """Every file is there byte for byte, and nothing else is. Returns how many that are."""
    names = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (root, store)]
    if names[0] != names[1]:
        sys.exit(f"not the same names: {sorted(names[0] ^ names[1])[:10]}")
    for name in names[0]:
        if (root / name).read_bytes() != (store / name).read_bytes():
            sys.exit(f"{name} is not what was written")
    return len(names[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=64, help="length of the kernel's queue")
    arguments = parser.parse_args()
    if not os.access(QUEUE, os.W_OK):
        sys.exit(f"this needs to write {QUEUE}: run it as root")
    with tempfile.TemporaryDirectory(prefix="s3up-burst-") as folder:
        home = Path(folder)
        root = home / "files"
        root.mkdir()
        (home / "server.yaml").write_text(SERVER.format(home=home, key=KEY))
        log, server = start(home, "s3up-server", "server")
        port = line_with(log, server, r"listening on \S+:(\d+)")[1]
        (home / "client.yaml").write_text(CLIENT.format(home=home, key=KEY, port=port))
        log, client = start_with_small_queue(home, arguments.events)

        hands = [multiprocessing.Process(target=write_some, args=(root, arguments.files, hand))
                 for hand in range(HANDS)]
        began = time.monotonic()
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        written = time.monotonic()
        wait_for_rows(log, client, home / "client.db", arguments.files)
        done = time.monotonic()
        lost = len(re.findall(r"scan \(the kernel lost events\)", log.read_text()))
        if not lost:
            sys.exit("the kernel lost no event: nothing was proved")
        for path in (root / "0").iterdir():
            (path / "late").write_text("late")
        late = sum(1 for _ in (root / "0").iterdir())
        wait_for_rows(log, client, home / "client.db", arguments.files + late)
        costs = [(cpu_seconds(process), most_memory(process)) for process in (server, client)]
        stop(client)
        stop(server)
        files = compare(root, home / "store/host")
        if files != arguments.files + late:
            sys.exit(f"{files} files arrived")
        print(f"{files} files: written in {written - began:.1f} s, all rows {done - written:.1f} s later; "
              f"{lost} scans after lost events; server {costs[0][0]:.1f} CPU-s, {costs[0][1]:.0f} MB; "
              f"client {costs[1][0]:.1f} CPU-s, {costs[1][1]:.0f} MB")


if __name__ == "__main__":
    main()
