"""Dramatiq on Redis."""

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import common


class Ready(dramatiq.Middleware):
    def after_worker_boot(self, broker, worker):
        common.ready()


# Of the usual middleware only what brings a message back that failed or was lost: the broker does the latter itself.
broker = RedisBroker(url=os.environ["PEER_URL"], middleware=[dramatiq.middleware.Retries(), Ready()])
dramatiq.set_broker(broker)


@dramatiq.actor
def judge(document):
    common.validate(document)


if __name__ == "__main__":
    common.produce(int(sys.argv[1]), judge.send)
