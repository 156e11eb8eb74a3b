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

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REST_SECONDS = 3
DEADLINE_SECONDS = 600
KEY = "sk_live_0123456789abcdef0123456789abcdef"
RUN = f"run-{random.randrange(16**8):08x}"

SERVER = f"""
server: {{host: 127.0.0.1, port: 0}}
s3:
  endpoint: "${{S3_ENDPOINT}}"
  region: "${{S3_REGION}}"
  bucket: "${{S3_BUCKET}}"
  path_prefix: "{RUN}/pair"
  access_key_id: "${{S3_ACCESS_KEY_ID}}"
  secret_access_key: "${{S3_SECRET_ACCESS_KEY}}"
clients: [{{name: host, api_key: {KEY}, max_file_size_mb: 1024}}]
"""


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
    environment = os.environ | {"AWS_ACCESS_KEY_ID": os.environ["S3_ACCESS_KEY_ID"],
                                "AWS_SECRET_ACCESS_KEY": os.environ["S3_SECRET_ACCESS_KEY"],
                                "AWS_REGION": os.environ["S3_REGION"]}
    target = f"s3://{os.environ['S3_BUCKET']}/{RUN}/s5cmd/{tree.name}/"
    began = time.monotonic()
    subprocess.run(["s5cmd", "--endpoint-url", os.environ["S3_ENDPOINT"], "cp", f"{tree}/", target],
                   env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def line_with(log, process, pattern):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, log.read_text()):
            return found
        time.sleep(0.02)
    sys.exit(f"no {pattern!r} in {log}:\n{log.read_text()}")


def rows(database):
    try:
        return sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(
            "SELECT count(*) FROM files").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def start(home, program, name):
    log = home / f"{name}.log"
    return log, subprocess.Popen([ROOT / "target/release" / program, "-c", home / f"{name}.yaml"],
                                 stderr=open(log, "w"))


def by_the_pair(home, tree, count):
    (home / "server.yaml").write_text(SERVER)
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
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
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
