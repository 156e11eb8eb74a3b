"""Our daemons and their peers, as the scripts beside this file start and watch them."""

import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk_live_0123456789abcdef0123456789abcdef"
DEADLINE_SECONDS = 600

# To be filled in: the value of `tls`, and what every key begins with.
SERVER = """
server: {{host: 127.0.0.1, port: 0, tls: {tls}}}
s3:
  endpoint: "${{S3_ENDPOINT}}"
  region: "${{S3_REGION}}"
  bucket: "${{S3_BUCKET}}"
  path_prefix: "{prefix}"
  access_key_id: "${{S3_ACCESS_KEY_ID}}"
  secret_access_key: "${{S3_SECRET_ACCESS_KEY}}"
clients: [{{name: host, api_key: %s, max_file_size_mb: 10240}}]
""" % KEY


def start(home, program, name, programs=ROOT / "target/release"):
    """Starts a release binary with NAME.yaml of this folder; its log goes to NAME.log."""
    log = home / f"{name}.log"
    return log, subprocess.Popen([Path(programs, program), "-c", home / f"{name}.yaml"], stderr=open(log, "w"))


def make_certificate(home):
    """A certificate for localhost, and its key. Returns the value of `server.tls`."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", home / "key.pem", "-out", home / "cert.pem"], check=True, stderr=subprocess.DEVNULL)
    return f"{{enabled: true, cert_file: {home}/cert.pem, key_file: {home}/key.pem}}"


def line_with(log, process, pattern):
    """Waits until the log has what matches, and returns the match."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(pattern, log.read_text()):
            return found
        time.sleep(0.02)
    sys.exit(f"no {pattern!r} in {log}:\n{log.read_text()}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    if code := process.wait(30):
        sys.exit(f"{process.args[0]} ended with {code}")


def cpu_seconds(process):
    """CPU time of a running process so far, all threads, user and system."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory(process):
    """Most memory that a running process ever had, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def rows(database):
    """How many files the client has written down as uploaded."""
    try:
        return sqlite3.connect(f"file:{database}?mode=ro", uri=True).execute(
            "SELECT count(*) FROM files").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def wait_for_rows(log, client, database, count):
    """Waits until so many files are written down as uploaded. A pause of uploads ends it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while rows(database) < count:
        if time.monotonic() > deadline or client.poll() is not None or "uploads pause" in log.read_text():
            sys.exit(f"not all arrived, {rows(database)} of {count}:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def peer_environment():
    """The environment in which s5cmd and rclone find the S3 server of ours."""
    # A CA of the surroundings is no business of a server on this machine, and rclone fails over it.
    environment = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}
    return environment | {
        "AWS_ACCESS_KEY_ID": os.environ["S3_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["S3_SECRET_ACCESS_KEY"],
        "AWS_REGION": os.environ["S3_REGION"],
        "S3_ENDPOINT_URL": os.environ["S3_ENDPOINT"],
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": os.environ["S3_ENDPOINT"],
        "RCLONE_S3_REGION": os.environ["S3_REGION"],
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_NO_CHECK_BUCKET": "true",
    }


def timed(command):
    """How long a command of a peer's takes, in seconds. Its failure is ours."""
    began = time.monotonic()
    done = subprocess.run(command, env=peer_environment(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return seconds


def s5cmd(source, target, *options, program="s5cmd"):
    """How long s5cmd takes to copy a file or a folder's content to a key or prefix of the bucket."""
    return timed([program, *options, "cp", source, f"s3://{os.environ['S3_BUCKET']}/{target}"])


def spread(values):
    """The median and, in brackets, least and most."""
    least, median, most = min(values), statistics.median(values), max(values)
    digits = 0 if median >= 100 else 2
    return f"{median:.{digits}f} [{least:.{digits}f}-{most:.{digits}f}]"
