#!/usr/bin/env python3
"""Pigeon beside other queues, in one session and in turn: see README.md."""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from systems import DEFAULTS, FSYNC, PEERS, Failed, Pigeon

SOURCE = Path(__file__).resolve().parent
ROOT = SOURCE.parents[3]


class Bench:
    """What all rounds share."""

    def __init__(self, options, folder):
        self.documents, self.warm, self.folder = options.documents, min(500, options.documents), folder
        self.pigeon, self.build, self.source = options.pigeon.resolve(), options.build.resolve(), SOURCE
        self.document = ROOT / "plugins/gexpr/examples/fibonacci.json"
        self.lines = (self.document.read_bytes().strip() + b"\n") * options.documents
        self.servers = {}

    def server(self, kind, mode):
        if (kind, mode) not in self.servers:
            self.servers[kind, mode] = kind(self.folder, mode)
        return self.servers[kind, mode]

    def command(self, parts):
        """A command of `systems`: programs and files are named as they lie in the build's folder."""
        parts = [part.replace("SOURCE", str(self.source)) for part in parts]
        return [str(self.build / part) if (self.build / part).is_file() else part for part in parts]

    def stop(self):
        for server in self.servers.values():
            server.stop()


class Series:
    """The rounds of one system, in one mode, at one number of workers."""

    def __init__(self, name, enqueues, mode, workers, round):
        self.name, self.enqueues, self.mode, self.workers, self.round = name, enqueues, mode, workers, round
        self.enqueued, self.ended, self.failed = [], [], None

    def run(self, bench):
        if self.failed:
            return
        try:
            enqueued, done = self.round(bench, self.mode, self.workers)
        except Failed as failed:
            self.failed = str(failed)
            print(f"{self}: {failed}", file=sys.stderr)
            return
        self.enqueued.append(bench.documents / enqueued)
        self.ended.append(bench.documents / done)
        print(f"{self}: {self.enqueued[-1]:,.0f} enqueued, {self.ended[-1]:,.0f} end to end", file=sys.stderr)

    def __str__(self):
        return f"{self.name}, {self.mode}, {self.workers} workers"


def pigeon_round(ask):
    def round(bench, _mode, workers):
        pigeon = Pigeon(bench, workers)
        try:
            return ask(bench, pigeon)
        finally:
            pigeon.stop()

    return round


def all_series(options):
    for workers in options.workers:
        for name, enqueues, ask in [
            ("Pigeon", "one upload", lambda bench, pigeon: pigeon.bulk(bench.lines)),
            ("Pigeon, single", "one by one, 8 clients x 16", lambda bench, pigeon: pigeon.single(bench.documents)),
        ]:
            if wanted(options, name):
                yield Series(name, enqueues, FSYNC, workers, pigeon_round(ask))
        for peer in PEERS:
            for mode in peer.modes:
                if wanted(options, peer.name) and mode in options.modes:
                    yield Series(peer.name, peer.enqueues, mode, workers, peer.round)


def wanted(options, name):
    return not options.only or name.lower().replace(", ", "-") in options.only


def table(series):
    """Lines for people; ratios are of medians, at the same number of workers."""
    heads = ["system", "enqueued in", "disk", "workers", "enqueued/s", "end to end/s (min..max)", "Pigeon is"]
    rows = []
    for workers in dict.fromkeys(one.workers for one in series):
        same = [one for one in series if one.workers == workers]
        ours = next((one for one in same if one.name == "Pigeon" and one.ended), None)
        for one in same:
            if not one.ended:
                rows.append([one.name, one.enqueues, one.mode, workers, "-", "failed", "-"])
                continue
            median = statistics.median(one.ended)
            ratio = f"{statistics.median(ours.ended) / median:.1f} x" if ours and one is not ours else "-"
            ends = f"{median:,.0f} ({min(one.ended):,.0f}..{max(one.ended):,.0f})"
            rows.append([one.name, one.enqueues, one.mode, workers, f"{statistics.median(one.enqueued):,.0f}", ends, ratio])
    rows = [heads, ["-" * len(head) for head in heads], *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows)


def fdatasync(folder):
    """The median of the disk's own fdatasync behind a write of 4 KiB, in microseconds."""
    times = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"7" * 4096)
            begun = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e6


def said(command):
    return subprocess.check_output([str(part) for part in command], text=True).strip().splitlines()[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pigeon", type=Path, default=ROOT / "target/release/pigeon", help="which pigeon is measured")
    parser.add_argument("--build", type=Path, default=ROOT / "target/peers", help="where run.sh built the peers")
    parser.add_argument("--documents", type=int, default=20_000, help="documents of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, in turn")
    parser.add_argument("--workers", type=lambda text: [int(one) for one in text.split(",")], default=[1, 3])
    parser.add_argument("--modes", type=lambda text: text.split(","), default=[FSYNC, DEFAULTS], help="fsync,defaults")
    parser.add_argument("--only", type=lambda text: text.lower().split(","), help="such as pigeon,pigeon-single,river")
    parser.add_argument("--out", type=Path, help="where the figures go as JSON [default: peers.json in the build folder]")
    options = parser.parse_args()
    if not options.pigeon.is_file():
        parser.error(f"there is no {options.pigeon}: cargo build --release makes it, or say another with --pigeon")
    series = list(all_series(options))
    # What was started ends with this, however it ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    # Beside the build: a temporary folder may be in memory and would sync for nothing.
    with tempfile.TemporaryDirectory(prefix="round-", dir=options.build, ignore_cleanup_errors=True) as folder:
        folder = Path(folder)
        folder.chmod(0o755)
        bench = Bench(options, folder)
        sync = fdatasync(folder)
        try:
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                for one in series:
                    one.run(bench)
        finally:
            bench.stop()
    print(f"{options.documents:,} documents of {bench.document.stat().st_size} bytes a round, medians of {options.rounds} rounds")
    print(f"{os.cpu_count()} cores, fdatasync of 4 KiB {sync:.0f} us, {said([options.pigeon, '--version'])}\n")
    print(table(series))
    figures = {
        "documents": options.documents, "cores": os.cpu_count(), "system": platform.platform(), "fdatasync_us": round(sync),
        "series": [
            {
                "system": one.name, "enqueued": one.enqueues, "disk": one.mode, "workers": one.workers, "failed": one.failed,
                "enqueued_per_s": [round(rate) for rate in one.enqueued], "end_to_end_per_s": [round(rate) for rate in one.ended],
            }
            for one in series
        ],
    }
    (options.out or options.build / "peers.json").write_text(json.dumps(figures, indent=1) + "\n")
    return any(one.failed for one in series)


if __name__ == "__main__":
    sys.exit(main())
