"""`python -m treadle.workers worker|scheduler`."""

import argparse
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from types import FrameType

from celery import signals
from celery.apps.worker import Worker
from celery.exceptions import SecurityWarning
from typing_extensions import override

from treadle.platform.db.migrate import migrate
from treadle.platform.log import configure_logging
from treadle.platform.settings import Settings
from treadle.workers.app import app, door
from treadle.workers.broker import TRANSPORT
from treadle.workers.loop import LoopThread
from treadle.workers.process import (
    DEFAULT_CONCURRENCY,
    SchedulerService,
    WorkerService,
    urls_of,
)


def main(arguments: list[str]) -> int:
    """Run until a signal ends it."""
    options = _parser().parse_args(arguments)
    configure_logging()
    settings = Settings()
    migrate(urls_of(settings).database)
    if options.role == "scheduler":
        return _run_scheduler(settings)
    return _run_worker(settings, name=options.name, concurrency=options.concurrency)


def _run_worker(settings: Settings, *, name: str, concurrency: int) -> int:
    runs = LoopThread(lambda: WorkerService(settings, name=name, concurrency=concurrency))
    door.answer = runs.ring
    app.conf.update(broker_url=urls_of(settings).redis, broker_transport=TRANSPORT)
    signals.setup_logging.connect(_keep_logging, weak=False)
    # Celery's reason is pickle, and this worker reads nothing but JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    runs.start()
    worker = _CeleryWorker(
        app=app,
        hostname=f"celery@{name}",
        pool="solo",
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        redirect_stdouts=False,
        quiet=True,
    )
    worker.runs = runs
    worker.start()
    runs.stop()
    return worker.exitcode or 0


def _keep_logging(**_: object) -> None:
    """Celery leaves logging alone if anybody hears this signal; a line per bell says nothing."""
    logging.getLogger("celery").setLevel(logging.WARNING)


class _CeleryWorker(Worker):
    """Celery's worker; a signal begins to drain the runs while it stops itself."""

    runs: LoopThread

    @override
    def on_start(self) -> None:
        """Take the signals over after Celery took them."""
        super().on_start()
        for number in (signal.SIGTERM, signal.SIGINT):
            celerys = signal.getsignal(number)

            def handle(number: int, frame: FrameType | None, celerys: object = celerys) -> None:
                self.runs.begin_stop()
                if callable(celerys):
                    celerys(number, frame)

            signal.signal(number, handle)


def _run_scheduler(settings: Settings) -> int:
    runs = LoopThread(lambda: SchedulerService(settings))
    ended = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    runs.start()
    ended.wait()
    runs.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m treadle.workers", description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    worker = roles.add_parser("worker", help="claim and advance runs")
    worker.add_argument(
        "--name",
        default=f"{socket.gethostname()}:{os.getpid()}",
        help="stable over restarts, unique among all workers; default: host and process",
    )
    worker.add_argument(
        "--concurrency", type=int, default=DEFAULT_CONCURRENCY, help="runs at a time"
    )
    roles.add_parser("scheduler", help="look for what is due and ring for it")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
