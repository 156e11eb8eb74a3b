#!/usr/bin/env python3
"""The two release binaries under attack and under load, on this machine, over a folder.

1. 1,000 connections that say nothing and 1,000 that say half a head, while the client's files go through.
2. 60 uploads of 3 MiB at 160 KB/s each, 40 more at full speed and 400 kept-alive clients with small
   files, all at once, twice.

Throughout another process asks for /health, on a new connection each time. Prints how long that took at
most, and the server's memory, threads and descriptors before, at the height and after. Fails if /health
took a second, if anything was refused other than by a 503 that a retry healed, if a file is not in the
store byte for byte, or if threads or descriptors do not come back.

Needs `cargo build --release` and nothing but Python's standard library:

    tests/acceptance/under_attack.py
"""

import asyncio
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk_live_0123456789abcdef0123456789abcdef"
CROWD = 1000
SLOW, FAST, LARGE_BYTES, SLOW_RATE = 60, 40, 3 * 1024**2, 160_000
CLIENTS, FILES_EACH, SMALL_BYTES = 400, 10, 4096
HEALTH_SECONDS_MAX = 1.0
DEADLINE_SECONDS = 120

SERVER = """
server: {{host: 127.0.0.1, port: 0}}
limits: {{head_seconds: 300}}
directory: {{path: {root}/store, path_prefix: ""}}
clients:
  - {{name: load, api_key: {key}}}
  - {{name: pair, api_key: {key}-pair}}
"""

CLIENT = """
server: {{url: "http://127.0.0.1:{port}", api_key: {key}-pair}}
database: {{path: {root}/client.db}}
watches: [{{local_path: {root}/files, remote_prefix: ""}}]
stability: {{debounce_seconds: 0.5}}
"""


def start(program, configuration, log):
    command = [ROOT / "target/release" / program, "-c", configuration]
    with open(log, "w") as output:
        return subprocess.Popen(command, stderr=output, stdout=subprocess.DEVNULL)


def port_in(log):
    return int(eventually(f"a port in {log}", lambda: re.search(r"listening on .*:(\d+)", log.read_text()))[1])


def eventually(what, look):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.02)
    sys.exit(f"waited {DEADLINE_SECONDS} s in vain: {what}")


class Vitals:
    """What a process holds at one moment."""

    def __init__(self, pid):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        self.memory_mb = int(status["VmRSS"].split()[0]) / 1024
        self.peak_mb = int(status["VmHWM"].split()[0]) / 1024
        self.threads = int(status["Threads"])
        self.descriptors = len(os.listdir(f"/proc/{pid}/fd"))

    def __str__(self):
        return (f"{self.memory_mb:6.1f} MB (peak {self.peak_mb:6.1f}), {self.threads:5} threads, "
                f"{self.descriptors:5} descriptors")


def watch_health(port):
    """In a process of its own: asks until it is told to stop, and says how long it took at most."""
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))

    async def ask():
        began = time.monotonic()
        reader, writer = await connect(port, 250)
        writer.write(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        status, _ = await answer(reader)
        writer.close()
        return status, time.monotonic() - began

    async def watch():
        longest, count = 0, 0
        while not stopped:
            status, took = await ask()
            if status != 200:
                sys.exit(f"/health answered {status}")
            longest, count = max(longest, took), count + 1
            await asyncio.sleep(0.01)
        print(f"{longest} {count}")

    asyncio.run(watch())


class Health:
    """The other process that asks for /health, from `with` to its end."""

    def __init__(self, port):
        self.port = port

    def __enter__(self):
        command = [sys.executable, __file__, "--health", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        output, _ = self.process.communicate()
        if failure[0]:
            return
        if self.process.returncode:
            sys.exit("/health was not answered")
        longest, count = output.split()
        print(f"  /health: {float(longest) * 1000:.0f} ms at most, of {count} times")
        if float(longest) >= HEALTH_SECONDS_MAX:
            sys.exit("/health took too long")


async def connect(port, host):
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.0.{host}", 0))


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    body = await reader.readexactly(length)
    return int(head.split()[1]), body


def content(path, size):
    return random.Random(path).randbytes(size)


def upload(path, size):
    parts = [('name="path"', path.encode()), ('name="file"; filename="f"', content(path, size))]
    form = b"".join(b"--limit\r\nContent-Disposition: form-data; " + name.encode() + b"\r\n\r\n" + value + b"\r\n"
                    for name, value in parts) + b"--limit--\r\n"
    head = (f"POST /upload HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(form)}\r\n"
            "Content-Type: multipart/form-data; boundary=limit\r\n\r\n")
    return head.encode() + form


class Load:
    """Uploads of many clients at once. Remembers what was sent, and how often the server was busy."""

    def __init__(self, port):
        self.port, self.sent, self.busy = port, {}, 0

    async def large(self, path, host, rate=None):
        request = upload(path, LARGE_BYTES)
        while True:
            reader, writer = await connect(self.port, host)
            try:
                await self.send(writer, request, rate)
                status, body = await answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                sys.exit(f"{path}: {error!r}")
            writer.close()
            if not await self.is_busy(path, status, body):
                break
        self.sent[path] = LARGE_BYTES

    async def send(self, writer, request, rate):
        began, step = time.monotonic(), 16_384
        for start in range(0, len(request), step):
            if rate and (early := start / rate - (time.monotonic() - began)) > 0:
                await asyncio.sleep(early)
            writer.write(request[start:start + step])
            await writer.drain()

    async def small(self, client, kind):
        host = 10 + client // 100
        reader, writer = await connect(self.port, host)
        for number in range(FILES_EACH):
            path = f"{kind}/{client}/{number}"
            while True:
                writer.write(upload(path, SMALL_BYTES))
                status, body = await answer(reader)
                if not await self.is_busy(path, status, body):
                    break
                writer.close()
                reader, writer = await connect(self.port, host)
            self.sent[path] = SMALL_BYTES
        writer.close()

    async def is_busy(self, path, status, body):
        if status == 200:
            return False
        if status != 503:
            sys.exit(f"{path}: {status} {body}")
        self.busy += 1
        await asyncio.sleep(1)
        return True

    async def run(self, kind):
        slow = [self.large(f"{kind}/slow/{number}", 2, SLOW_RATE) for number in range(SLOW)]
        fast = [self.large(f"{kind}/fast/{number}", 3) for number in range(FAST)]
        small = [self.small(client, kind) for client in range(CLIENTS)]
        await asyncio.gather(*slow, *fast, *small)


def crowds(port, server, root):
    """Idle connections and half heads, while the client's files go through."""
    async def gather():
        streams = [await connect(port, 20 + number // 100) for number in range(2 * CROWD)]
        for _, writer in streams[CROWD:]:
            writer.write(b"POST /upload HTTP/1.1\r\nHost: a\r\nX-")
        return streams

    async def besiege():
        streams = await gather()
        files = {f"{number}.bin": content(str(number), number * 50_000) for number in range(20)}
        for name, bytes_ in files.items():
            (root / "files" / name).write_bytes(bytes_)
        stored = lambda: all((root / "store/pair" / name).exists() for name in files)
        await asyncio.to_thread(eventually, "the client's files are stored", stored)
        print("  at the height:", Vitals(server.pid))
        for name, bytes_ in files.items():
            if (root / "store/pair" / name).read_bytes() != bytes_:
                sys.exit(f"{name} is not what was sent")
        for _, writer in streams:
            writer.close()

    print(f"{CROWD} idle connections, {CROWD} with half a head, and the client's files:")
    with Health(port):
        asyncio.run(besiege())


def mixed(port, server, root, kind):
    print(f"{SLOW} slow and {FAST} fast uploads of {LARGE_BYTES} bytes, {CLIENTS} clients with small files:")
    load = Load(port)

    async def run():
        working = asyncio.create_task(load.run(kind))
        height = Vitals(server.pid)
        while not working.done():
            now = Vitals(server.pid)
            height = max(height, now, key=lambda vitals: vitals.threads)
            await asyncio.sleep(0.2)
        await working
        print("  at the height:", height)

    began = time.monotonic()
    with Health(port):
        asyncio.run(run())
    print(f"  {len(load.sent)} files in {time.monotonic() - began:.1f} s; {load.busy} times a 503 that a retry healed")
    for path, size in load.sent.items():
        if (root / "store/load" / path).read_bytes() != content(path, size):
            sys.exit(f"{path} is not what was sent")


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "files").mkdir()
        (root / "server.yaml").write_text(SERVER.format(root=root, key=KEY))
        server = start("s3up-server", root / "server.yaml", root / "server.log")
        port = port_in(root / "server.log")
        (root / "client.yaml").write_text(CLIENT.format(root=root, key=KEY, port=port))
        client = start("s3up", root / "client.yaml", root / "client.log")
        try:
            before = Vitals(server.pid)
            print("before:         ", before)
            crowds(port, server, root)
            after(before, server)
            for kind in ["first", "second"]:
                mixed(port, server, root, kind)
                after(before, server)
        finally:
            for process in [client, server]:
                process.terminate()
        if (codes := [process.wait() for process in [client, server]]) != [0, 0]:
            sys.exit(f"client and server ended with {codes}")
        if troubles := [line for line in (root / "server.log").read_text().splitlines() if "ERROR" in line]:
            sys.exit("\n".join(troubles[:20]))
    print("passed")


def after(before, server):
    def back():
        now = Vitals(server.pid)
        # The client keeps a few connections.
        return now.threads <= before.threads + 8 and now.descriptors <= before.descriptors + 8
    eventually("threads and descriptors are back", back)
    print("  afterwards:   ", Vitals(server.pid))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--health"]:
        watch_health(int(sys.argv[2]))
    else:
        main()
