"""What the programs of both Python peers do alike: validate, count, and say how far they are."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Neither has a call that enqueues many messages: so many callers at once share the fsyncs of Redis.
CALLERS = 8

_count = None


def ready():
    """A file that says that this worker is ready, and counts what it has validated: a byte for each."""
    global _count
    _count = os.open(Path(os.environ["PEER_COUNT"], str(os.getpid())), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)


def validate(document):
    """Whether a document is JSON; counted if it is."""
    if not isinstance(json.loads(document), dict):
        raise ValueError("the document is no object")
    os.write(_count, b".")


def produce(count, enqueue):
    """Wait for the word, have so many documents enqueued, say when they are."""
    document = Path(os.environ["PEER_DOCUMENT"]).read_text().strip()
    with ThreadPoolExecutor(CALLERS) as callers:
        print("ready", flush=True)
        sys.stdin.readline()
        shares = [count // CALLERS + (caller < count % CALLERS) for caller in range(CALLERS)]
        some = lambda share: [enqueue(document) for _ in range(share)]
        list(callers.map(some, shares))
        print("enqueued", flush=True)
