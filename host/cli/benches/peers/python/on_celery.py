"""Celery on Redis."""

import os
import sys

from celery import Celery
from celery.signals import worker_process_init

import common

app = Celery("peers", broker=os.environ["PEER_URL"])
app.conf.update(
    # Nobody asks for results: the others keep none either.
    task_ignore_result=True,
    # Messages that a worker fetches ahead, for each of its processes.
    worker_prefetch_multiplier=100,
    # As the other queues: a task is done when it has been run, not when it has been fetched.
    task_acks_late=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=common.CALLERS,
)


@worker_process_init.connect
def _ready(**_):
    common.ready()


# The producer imports this as its main program, which would be part of the name.
@app.task(name="judge")
def judge(document):
    common.validate(document)


if __name__ == "__main__":
    common.produce(int(sys.argv[1]), judge.delay)
