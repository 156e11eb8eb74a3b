#!/usr/bin/env python3
"""500 files of mixed sizes and names travel through the two release binaries into a real S3 server.

They are copied, moved in as folders, renamed into place, written and rewritten below two watched
folders while the pair runs with the design document's own YAML. Then an independent S3 client
(boto3) reads every object back. Fails unless each file is there byte for byte, nothing else is, and
each state of each file was uploaded exactly once.

Needs boto3, `cargo build --release`, an S3 server and an empty bucket there:

    S3_ENDPOINT=http://127.0.0.1:3900 S3_REGION=garage S3_BUCKET=mycompany-backups \\
    S3_ACCESS_KEY_ID=... S3_SECRET_ACCESS_KEY=... tests/acceptance/five_hundred_files.py
"""

import hashlib
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "backups/webapp-prod/"
DEADLINE_SECONDS = 300
NAMES = ["plain", "with blank", "Grüße", "日本", "a+b", "100%", "no#1", "why?", "a&b=c", "it's", '"q"',
         "%2e%2e", "~tilde", "semi;colon", "at@sign", "(round)", "[square]", "star*", "comma,", "..dots.."]
SIZES = [0, 1, 100, 4095, 4096, 4097, 65_536, 300_000, 1_048_576]
LARGE = [8 * 1024**2 - 1, 8 * 1024**2, 8 * 1024**2 + 1, 20_000_000, 64 * 1024**2]

SERVER = """
server:
  host: "0.0.0.0"
  port: {port}
  tls:
    enabled: false

s3:
  endpoint: "${{S3_ENDPOINT}}"
  region: "${{S3_REGION}}"
  bucket: "${{S3_BUCKET}}"
  path_prefix: "backups/"
  access_key_id: "${{S3_ACCESS_KEY_ID}}"
  secret_access_key: "${{S3_SECRET_ACCESS_KEY}}"

clients:
  - name: "webapp-prod"
    api_key: "sk_live_0123456789abcdef0123456789abcdef"
    max_file_size_mb: 100
"""

CLIENT = """
server:
  url: "http://127.0.0.1:{port}"
  api_key: "sk_live_0123456789abcdef0123456789abcdef"

database:
  path: "{home}/client.db"

watches:
  - local_path: "{home}/uploads"
    remote_prefix: "uploads/"
    recursive: true

  - local_path: "{home}/documents"
    remote_prefix: "documents/"
    recursive: true

scan:
  upload_existing: false

stability:
  debounce_seconds: 3
  max_attempts: 100

upload:
  retry_attempts: 3
  retry_delay_seconds: 5
"""


def wait_for(what, condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {DEADLINE_SECONDS} s: {what}")
        time.sleep(0.1)


def start(home, name, config):
    path = home / f"{config}.yaml"
    log = open(home / f"{config}.log", "w")
    return subprocess.Popen([ROOT / "target/release" / name, "-c", path], stderr=log)


def name(number):
    return f"{NAMES[number % len(NAMES)]} {number:03}"


def write(path, chance, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chance.randbytes(size))


def files_below(*folders):
    return [Path(base) / file for folder in folders for base, _, files in os.walk(folder) for file in files]


def churn(home, chance):
    """Makes 500 files by every way a file can appear; the copied ones are 100."""
    uploads, documents, staging = home / "uploads", home / "documents", home / "staging"
    size = lambda: chance.choice(SIZES)
    for number in range(100):  # prepared elsewhere, then copied with their old times
        write(staging / "copied" / f"{number % 7}" / name(number), chance, size())
    for number in range(100, 250):  # prepared elsewhere, then moved in as whole folders
        write(staging / "moved" / f"{number % 5}" / "deep" / name(number), chance, size())
    shutil.copytree(staging / "copied", uploads / "copied")
    (staging / "moved").rename(documents / "moved")
    for number in range(250, 350):  # written as a program writes, into folders made just before
        write(uploads / "written" / f"{number}" / "a" / "b" / name(number), chance, size())
    for number, large in enumerate(LARGE, 350):
        write(documents / "large" / name(number), chance, large)
    for number in range(355, 500):  # written under another name and renamed into place
        part = documents / "renamed" / f"{number}.part"
        write(part, chance, size())
        part.rename(part.with_name(name(number)))


def rewrite(home, chance):
    """Rewrites 50 files of those that were uploaded: half of them longer, half with equal size and
    the old mtime put back."""
    for count, path in enumerate(sorted(files_below(home / "uploads/copied"))[:50]):
        before = path.stat()
        longer = 10 if count % 2 or before.st_size == 0 else 0
        path.write_bytes(chance.randbytes(before.st_size + longer))
        if not longer:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def settled(home, files):
    """Every file has its row, and each row says what stands on the disk."""
    rows = sqlite3.connect(f"file:{home}/client.db?mode=ro", uri=True).execute(
        "SELECT local_path, file_size, mtime_ns, ctime_ns, inode FROM files")
    known = {path: tuple(rest) for path, *rest in rows}
    stat = lambda path: (lambda s: (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino))(path.stat())
    return all(known.get(str(path)) == stat(path) for path in files)


def main():
    home = Path(tempfile.mkdtemp(prefix="s3up-500-"))
    for folder in ("uploads", "documents", "staging"):
        (home / folder).mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (home / "server.yaml").write_text(SERVER.format(port=port))
    (home / "client.yaml").write_text(CLIENT.format(port=port, home=home))
    chance = random.Random(7)
    daemons = [start(home, "s3up-server", "server"), start(home, "s3up", "client")]
    try:
        wait_for("first scan", lambda: "scan (start)" in (home / "client.log").read_text())
        began = time.monotonic()
        churn(home, chance)
        folders = (home / "uploads", home / "documents")
        files = files_below(*folders)
        assert len(files) == 500, len(files)
        wait_for("500 rows", lambda: settled(home, files))
        print(f"500 files uploaded {time.monotonic() - began:.1f} s after the first was made")
        rewrite(home, chance)
        wait_for("50 rewritten", lambda: settled(home, files))
    finally:
        for daemon in reversed(daemons):
            daemon.send_signal(signal.SIGTERM)
        codes = [daemon.wait(30) for daemon in daemons]
    assert codes == [0, 0], f"exit codes {codes}, logs in {home}"

    s3 = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name=os.environ["S3_REGION"],
                      aws_access_key_id=os.environ["S3_ACCESS_KEY_ID"],
                      aws_secret_access_key=os.environ["S3_SECRET_ACCESS_KEY"],
                      config=Config(s3={"addressing_style": "path"}))
    bucket = os.environ["S3_BUCKET"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    stored = {item["Key"] for page in pages for item in page.get("Contents", [])}
    expected = {PREFIX + str(path.relative_to(home)): path for path in files}
    assert stored == set(expected), f"differ by {stored ^ set(expected)}"
    for key, path in expected.items():
        answer = s3.get_object(Bucket=bucket, Key=key)
        content, local = answer["Body"].read(), path.read_bytes()
        assert content == local, f"{key} differs"
        assert answer["Metadata"]["sha256"] == hashlib.sha256(local).hexdigest(), key
    pending = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert not pending, f"multipart uploads left: {pending}"

    log = (home / "server.log").read_text()
    assert log.count("] 127") == log.count(" 200 "), f"some request failed, see {home}/server.log"
    uploads = log.count('stored "')
    assert uploads == 550, f"{uploads} uploads for 500 files, 50 of them rewritten: see {home}"
    print(f"{len(stored)} objects byte for byte, {uploads} uploads: each state of each file once")
    shutil.rmtree(home)


main()
