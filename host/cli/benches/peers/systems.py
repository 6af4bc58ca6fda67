"""The systems that are compared: how each is started, given documents, and asked how far it is."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

FSYNC, DEFAULTS = "fsync", "defaults"

# Seconds that anything may take before it is given up.
PATIENCE = 300


class Failed(Exception):
    """A system did not do what it should."""


class Program:
    """A program of ours, with what it starts: all of it ends with this."""

    def __init__(self, command, log, environment=None, **more):
        self.name = Path(command[0]).name
        self.log = log
        environment = os.environ | (environment or {})
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(part) for part in command], env=environment, stderr=errors, start_new_session=True, text=True, **more
            )

    def line(self):
        """Wait for a line that it prints."""
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.name} ended early with {self.process.wait()}: see {self.log}")
        return line.strip()

    def must_run(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended early with {self.process.returncode}: see {self.log}")

    def stop(self, kind=signal.SIGTERM, patience=20):
        """End it in order; what is left of its session by then is killed."""
        if self.process.poll() is None:
            self.process.send_signal(kind)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def until(true, what, pause=0.005):
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise Failed(f"waited {PATIENCE} seconds in vain until {what}")
        time.sleep(pause)


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Redis:
    """A Redis of our own: with every write synced (`appendfsync always`), or as it comes (snapshots now and then)."""

    def __init__(self, folder, mode):
        self.port, folder = free_port(), folder / f"redis-{mode}"
        folder.mkdir()
        command = ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", folder]
        if mode == FSYNC:
            command += ["--appendonly", "yes", "--appendfsync", "always"]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.server = Program(command, folder / "log", stdout=subprocess.DEVNULL)
        until(lambda: self.server.must_run() or listens(self.port), "Redis listens")

    def clear(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            if connection.recv(64) != b"+OK\r\n":
                raise Failed("Redis could not be emptied")

    def stop(self):
        self.server.stop()


class Postgres:
    """A PostgreSQL of our own. As it comes it syncs every commit; it is only given more memory than that of 1995."""

    def __init__(self, folder, _mode):
        self.port, folder = free_port(), folder / "postgres"
        folder.mkdir()
        data, user = folder / "data", []
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(folder, "postgres", "postgres")
            user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        programs = Path(subprocess.check_output(["pg_config", "--bindir"], text=True).strip())
        made = subprocess.run(
            [*user, programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8"],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if made.returncode:
            raise Failed(f"initdb failed:\n{made.stdout}")
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "max_connections": 200,
            "shared_buffers": "512MB", "max_wal_size": "4GB", "fsync": "on", "synchronous_commit": "on",
        }
        command = [*user, programs / "postgres", "-D", data]
        for setting, value in settings.items():
            command += ["-c", f"{setting}={value}"]
        self.server = Program(command, folder.parent / "postgres.log", stdout=subprocess.DEVNULL, cwd=folder)
        until(lambda: self.server.must_run() or listens(self.port), "PostgreSQL listens")
        self.ask("SELECT 1")

    def ask(self, sql):
        asked = lambda: subprocess.run(
            ["psql", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-c", sql],
            capture_output=True, text=True,
        )
        until(lambda: asked().returncode == 0, f"PostgreSQL did {sql}", 0.1)

    def clear(self):
        """A new database: what the round before left behind is vacuumed in nobody's time."""
        self.ask("DROP DATABASE IF EXISTS peers")
        self.ask("CREATE DATABASE peers")
        self.ask("CHECKPOINT")
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/peers?sslmode=disable"

    def stop(self):
        self.server.stop(signal.SIGINT)


class Sqlite:
    """A file in WAL mode: synced at every commit (`synchronous=FULL`), or never, which is what apalis sets up itself."""

    def __init__(self, folder, mode):
        self.folder, self.count = folder / f"sqlite-{mode}", 0
        self.folder.mkdir()
        self.environment = {"PEER_SYNCHRONOUS": "FULL" if mode == FSYNC else "OFF"}

    def clear(self):
        self.count += 1
        self.url = f"sqlite://{self.folder}/{self.count}.db"

    def stop(self):
        pass


class Peer:
    """A queue whose programs stand beside this file."""

    def __init__(self, name, server, enqueues, produce, work, prepare=None, modes=(FSYNC,), one_for_all=False):
        self.name, self.server, self.enqueues, self.modes = name, server, enqueues, modes
        self.produce, self.work, self.prepare = produce, work, prepare
        # Whether one program starts all workers.
        self.one_for_all = one_for_all

    def round(self, bench, mode, workers):
        """One round: seconds until all is enqueued, and until all is validated."""
        server = bench.server(self.server, mode)
        server.clear()
        counts = bench.folder / "counts"
        shutil.rmtree(counts, ignore_errors=True)
        counts.mkdir()
        environment = {
            "PEER_URL": server.url, "PEER_COUNT": str(counts), "PEER_DOCUMENT": str(bench.document),
            "PYTHONPATH": str(bench.source / "python"), **getattr(server, "environment", {}),
        }
        log = bench.folder / f"{self.name}.log"
        if self.prepare:
            prepare = Program(bench.command(self.prepare), log, environment, stdout=subprocess.DEVNULL)
            if prepare.process.wait(PATIENCE):
                raise Failed(f"{self.name} could not be prepared: see {log}")
        copies = 1 if self.one_for_all else workers
        command = [part.replace("WORKERS", str(workers)) for part in self.work]
        programs = [
            Program(bench.command(command), log, environment, stdout=subprocess.DEVNULL) for _ in range(copies)
        ]
        counted = lambda: sum(entry.stat().st_size for entry in os.scandir(counts))
        alive = lambda: [program.must_run() for program in programs]
        try:
            until(lambda: alive() and len(list(os.scandir(counts))) == workers, f"{workers} workers of {self.name} are up")
            self.enqueue(bench, environment, log, bench.warm, lambda: alive() and counted() >= bench.warm)
            total = bench.warm + bench.documents
            times = self.enqueue(bench, environment, log, bench.documents, lambda: alive() and counted() >= total)
        finally:
            for program in programs:
                program.stop()
        if counted() != total:
            raise Failed(f"{self.name} validated {counted()} documents of {total}")
        return times

    def enqueue(self, bench, environment, log, documents, done):
        command = bench.command([part.replace("DOCUMENTS", str(documents)) for part in self.produce])
        producer = Program(command, log, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            return enqueued_and_done(producer, done)
        finally:
            producer.stop()


def enqueued_and_done(producer, done, pause=0.005):
    """Give a producer the word; seconds until it has enqueued all, and until all is done."""
    while producer.line() != "ready":
        pass
    begun = time.monotonic()
    producer.process.stdin.write("\n")
    producer.process.stdin.flush()
    while producer.line() != "enqueued":
        pass
    enqueued = time.monotonic() - begun
    until(done, "all is validated", pause)
    return enqueued, time.monotonic() - begun


class Pigeon:
    """`pigeon up`: a server, and agents with one slot each. The end is its report: every outcome is on disk."""

    def __init__(self, bench, workers):
        self.bench, self.folder = bench, bench.folder / "pigeon"
        shutil.rmtree(self.folder, ignore_errors=True)
        folders = {"XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config"}
        self.environment = {name: str(self.folder / folder) for name, folder in folders.items()}
        # Compiled once for all rounds.
        self.environment["XDG_CACHE_HOME"] = str(bench.folder / "cache")
        self.folder.mkdir()
        self.run("up", "--agents", str(workers), "--slots", "1")
        state = self.folder / "state/pigeon/up/server"
        self.api = json.loads((state / "run.json").read_text())["api"].removeprefix("http://")
        self.token = (state / "admin.token").read_text().strip()
        self.connection = http.client.HTTPConnection(self.api)
        self.bulk(b'{"a": 1}\n')

    def run(self, *words):
        done = subprocess.run(
            [self.bench.pigeon, *words], env=os.environ | self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise Failed(f"pigeon {words[0]} failed:\n{done.stderr}")

    def ask(self, method, path, body=None, kind="application/json"):
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Content-Type": kind} if body else {})
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise Failed(f"pigeon answered {response.status} to {method} {path}: {text.decode()}")
        return text

    def bulk(self, lines):
        """All as the items of one job."""
        begun = time.monotonic()
        job = json.loads(self.ask("POST", "/api/v1/jobs", b'{"plugin": "json"}'))["id"]
        self.ask("POST", f"/api/v1/jobs/{job}/items", lines, "application/x-ndjson")
        self.ask("POST", f"/api/v1/jobs/{job}/seal")
        enqueued = time.monotonic() - begun
        while True:
            status = json.loads(self.ask("GET", f"/api/v1/jobs/{job}/wait"))
            if status["state"] in ("finished", "stopped", "cancelled"):
                break
        done = time.monotonic() - begun
        if status["valid"] != lines.count(b"\n"):
            raise Failed(f"not all documents are valid: {status}")
        return enqueued, done

    def figures(self):
        text = self.ask("GET", "/metrics").decode()
        figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        names = ['pigeon_runs_total{verdict="valid"}', 'pigeon_jobs{state="active"}']
        return [int(figures[name]) for name in names]

    def single(self, documents):
        """Each as a job of its own: 8 clients, each with up to 16 requests in flight."""
        before, _ = self.figures()
        command = [self.bench.build / "go/load", self.api, self.bench.document, documents, "8", "16"]
        log = self.bench.folder / "load.log"
        load = Program(command, log, {"PIGEON_TOKEN": self.token}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def done():
            valid, active = self.figures()
            return valid == before + documents and active == 0

        try:
            # To ask costs the server something.
            return enqueued_and_done(load, done, 0.05)
        finally:
            load.stop()

    def stop(self):
        self.connection.close()
        self.run("down", "--purge")


PEERS = [
    Peer("River", Postgres, "1,000 a COPY", ["go/river", "produce", "DOCUMENTS"], ["go/river", "work"], ["go/river", "prepare"]),
    Peer(
        "awa", Postgres, "1,000 a COPY", ["rust/release/on-awa", "produce", "DOCUMENTS"], ["rust/release/on-awa", "work"],
        ["rust/release/on-awa", "prepare"],
    ),
    Peer(
        "BullMQ", Redis, "1,000 a pipeline", ["node", "node/peer.js", "produce", "DOCUMENTS"], ["node", "node/peer.js", "work"],
        modes=(FSYNC, DEFAULTS),
    ),
    Peer(
        "Asynq", Redis, "one by one, 64 callers", ["go/asynq", "produce", "DOCUMENTS"], ["go/asynq", "work"],
        modes=(FSYNC, DEFAULTS),
    ),
    Peer(
        "Dramatiq", Redis, "one by one, 8 callers", ["python/bin/python", "SOURCE/python/on_dramatiq.py", "DOCUMENTS"],
        ["python/bin/dramatiq", "on_dramatiq", "--processes", "WORKERS", "--threads", "8"],
        modes=(FSYNC, DEFAULTS), one_for_all=True,
    ),
    Peer(
        "Celery", Redis, "one by one, 8 callers", ["python/bin/python", "SOURCE/python/on_celery.py", "DOCUMENTS"],
        [
            "python/bin/celery", "-A", "on_celery", "worker", "--concurrency", "WORKERS", "--loglevel", "ERROR",
            "--without-gossip", "--without-mingle", "--without-heartbeat", "-O", "fair",
        ],
        modes=(FSYNC, DEFAULTS), one_for_all=True,
    ),
    Peer(
        "apalis", Sqlite, "1,000 a transaction", ["rust/release/on-apalis", "produce", "DOCUMENTS"],
        ["rust/release/on-apalis", "work"], ["rust/release/on-apalis", "prepare"], modes=(FSYNC, DEFAULTS),
    ),
]
