#!/usr/bin/env python3
"""What it costs to remember every upload in the server's database, on the way to a real S3 server.

Two servers, one with `database.path` and one without, take turns: small files over TLS on 8 kept-alive
connections, as in `data_path.py`. Prints files a second, the server's CPU time a file and, within a round, the
rate with the database against the rate without. One round before the first is not counted.

Needs openssl, `cargo build --release`, an S3 server and a bucket that may be filled:

    S3_ENDPOINT=http://127.0.0.1:3900 S3_REGION=garage S3_BUCKET=mycompany-backups \\
    S3_ACCESS_KEY_ID=... S3_SECRET_ACCESS_KEY=... tests/acceptance/ledger_cost.py
"""

import argparse
import random
import tempfile
from pathlib import Path

from daemons import SERVER, cpu_seconds, make_certificate, spread, stop
from data_path import RUN, SMALL_BYTES, serve, small_over_tls


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--files", type=int, default=3000)
    arguments = parser.parse_args()
    rates, costs = {"without": [], "with": []}, {"without": [], "with": []}
    with tempfile.TemporaryDirectory(prefix="s3up-ledger-cost-") as folder:
        home, chance = Path(folder), random.Random(5)
        tree = home / "small"
        tree.mkdir()
        for number in range(arguments.files):
            (tree / f"{number:06}.bin").write_bytes(chance.randbytes(SMALL_BYTES))
        tls, certificate = make_certificate(home), home / "cert.pem"
        servers = {}
        for way, database in (("without", ""), ("with", f"\ndatabase: {{path: {home}/activity.db}}\n")):
            servers[way] = serve(home, way, SERVER.format(tls=tls, prefix=f"{RUN}/{way}") + database)
        for number in range(-1, arguments.rounds):
            for way in sorted(servers, reverse=number % 2 == 0):
                server, port = servers[way]
                before = cpu_seconds(server)
                seconds, _ = small_over_tls(tree, f"round-{number}", port, certificate)
                if number >= 0:
                    rates[way].append(arguments.files / seconds)
                    costs[way].append((cpu_seconds(server) - before) / arguments.files * 1e6)
        for server, _ in servers.values():
            stop(server)
    ratios = [kept / not_kept for kept, not_kept in zip(rates["with"], rates["without"])]
    for way in rates:
        print(f"{way} a database: {spread(rates[way])} files/s, {spread(costs[way])} us of CPU a file")
    print(f"with against without: {spread(ratios)}")


if __name__ == "__main__":
    main()
