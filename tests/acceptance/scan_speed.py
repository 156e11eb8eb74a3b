#!/usr/bin/env python3
"""How long a start takes that finds nothing changed, against `find`; and what the client costs at rest.

    scan_speed.py [--files 1000000] [--folders 8000] [--rounds 5] [--client target/release/s3up]
                  [--home /tmp/s3up-scan-speed] [--rest-seconds 60] [--keep] [--shuffled]

1. A tree of FILES in FOLDERS (make_tree.py), and a client's database that knows all of them. In each
   round `find DIR -printf '%T@ %s %i %p\\n'` and a start of the client, on the same warm tree: the
   seconds of both, their ratio, the client's peak memory. The client's are those of its own line
   `scan (start)`; the server's address is one where nobody listens, since there is nothing to send.
2. 100,000 files in 5,000 folders: the CPU seconds, the wake-ups and the memory of a client that has
   scanned them and then rests. Rest begins with the herald's last look, a minute after work began.

`--shuffled` writes the rows in another order than that of the paths, as years of uploads do.
"""

import argparse
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

from daemons import DEADLINE_SECONDS, ROOT, KEY, cpu_seconds, line_with, most_memory, stop
from make_tree import make

CLIENT = """
server: {{url: "http://127.0.0.1:9", api_key: {key}}}
database: {{path: {home}/client.db}}
watches: [{{local_path: {tree}, remote_prefix: "tree/"}}]
scan: {{upload_existing: true}}
"""
ROW = ("INSERT INTO files (local_path, remote_path, file_size, mtime, uploaded_at, mtime_ns, ctime_ns, "
       "inode, sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")


def rows(tree, paths):
    """What the client would have written down of each file."""
    for path in paths:
        stat = Path(path).lstat()
        yield (path, "tree/" + path.removeprefix(f"{tree}/"), stat.st_size,
               stat.st_mtime_ns // 10**9, int(time.time()), stat.st_mtime_ns, stat.st_ctime_ns,
               stat.st_ino, bytes(32))


def prepare(arguments, name, files, folders):
    """Makes a tree and a database that knows it, and returns their place."""
    home = Path(arguments.home, name)
    tree = home / "tree"
    home.mkdir(parents=True)
    (home / "client.yaml").write_text(CLIENT.format(key=KEY, home=home, tree=tree))
    # A first run makes the database: over nothing, so that it is quick.
    tree.mkdir()
    log, client = start(arguments, home)
    line_with(log, client, r"scan \(start\)")
    stop(client)
    paths = sorted(make(tree, files, folders))
    if arguments.shuffled:
        random.Random(1).shuffle(paths)
    with sqlite3.connect(home / "client.db") as database:
        database.executemany(ROW, rows(tree, paths))
    database.close()
    return home


def start(arguments, home):
    log = home / "client.log"
    return log, subprocess.Popen([arguments.client, "-c", home / "client.yaml"], stderr=open(log, "w"))


def scan(arguments, home, files):
    """Starts a client, and returns the seconds of its scan once it has found nothing to do."""
    log, client = start(arguments, home)
    found = line_with(log, client, r"scan \(start\): (\d+) files, (\d+) to look at.* ([0-9.]+) s\n")
    if (int(found[1]), int(found[2])) != (files, 0):
        sys.exit(f"not the scan of a tree that is known: {found[0]}")
    return float(found[3]), client


def find(tree):
    """How long `find` takes to print what the client compares, in seconds."""
    began = time.monotonic()
    subprocess.run(["find", tree, "-printf", r"%T@ %s %i %p\n"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def against_find(arguments):
    files = arguments.files
    home = prepare(arguments, "large", files, arguments.folders)
    ratios, finds, scans, memory = [], [], [], []
    find(home / "tree")
    for round_ in range(arguments.rounds + 1):
        found = find(home / "tree")
        scanned, client = scan(arguments, home, files)
        cpu, peak = cpu_seconds(client), most_memory(client)
        stop(client)
        print(f"  find {found:.2f} s, scan {scanned:.1f} s (CPU {cpu:.2f} s), {peak:.0f} MB",
              "" if round_ else "(not counted: it warms up)")
        if round_:
            ratios.append(scanned / found)
            finds.append(found)
            scans.append(scanned)
            memory.append(peak)
    print(f"{files} files in {arguments.folders} folders, nothing changed: find "
          f"{statistics.median(finds):.2f} s, scan {statistics.median(scans):.1f} s; ratio "
          f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]; "
          f"peak memory {max(memory):.0f} MB")


def wake_ups(client):
    """How often each thread of a running process has gone to sleep so far, by number and name."""
    slept = {}
    for task in Path(f"/proc/{client.pid}/task").iterdir():
        count = re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())
        slept[task.name, (task / "comm").read_text().strip()] = int(count[1])
    return slept


def wait_for_rest(client):
    """Waits until the herald has looked for the last time: it woke, and nobody moves any more."""
    def heralds():
        return [count for (_, name), count in wake_ups(client).items() if name == "herald"]
    before, deadline = heralds(), time.monotonic() + DEADLINE_SECONDS
    if len(before) != 1:
        sys.exit(f"{len(before)} threads are called herald")
    while heralds() == before:
        if time.monotonic() > deadline:
            sys.exit("the herald does not look, which it does a minute after work begins")
        time.sleep(0.2)
    quiet = None
    while (now := wake_ups(client)) != quiet:
        quiet = now
        time.sleep(1)


def at_rest(arguments):
    files, folders = 100_000, 5_000
    home = prepare(arguments, "rest", files, folders)
    _, client = scan(arguments, home, files)
    wait_for_rest(client)
    began, slept = cpu_seconds(client), wake_ups(client)
    time.sleep(arguments.rest_seconds)
    used, woke = cpu_seconds(client) - began, wake_ups(client)
    woke = {key: count - slept.get(key, 0) for key, count in woke.items() if count != slept.get(key)}
    by_name = "".join(f", {count} of {name}" for (_, name), count in woke.items())
    now = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{client.pid}/status").read_text())
    stop(client)
    print(f"{files} files in {folders} folders, at rest: CPU {used:.2f} s and "
          f"{sum(woke.values())} wake-ups in {arguments.rest_seconds} s{by_name}; memory {int(now[1]) / 1024:.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=8_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rest-seconds", type=int, default=60)
    parser.add_argument("--client", type=Path, default=ROOT / "target/release/s3up")
    parser.add_argument("--home", type=Path, default=Path("/tmp/s3up-scan-speed"))
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the trees where they are")
    arguments = parser.parse_args()
    if arguments.home.exists():
        sys.exit(f"{arguments.home} exists already")
    try:
        if arguments.rounds:
            against_find(arguments)
        if arguments.rest_seconds:
            at_rest(arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(arguments.home, ignore_errors=True)


if __name__ == "__main__":
    main()
