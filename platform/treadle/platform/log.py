"""Logging: an event name and fields, JSON where a machine reads, colours where a person does."""

import logging
import sys
from typing import Protocol

import structlog


class Log(Protocol):
    """What our code uses of a logger."""

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Something a person should look at, eventually."""
        ...

    def error(self, event: str, **fields: object) -> None:
        """Something failed that was foreseen."""
        ...

    def exception(self, event: str, **fields: object) -> None:
        """Something failed that was not: adds where. For the edges."""
        ...


class Stream(Protocol):
    """Where a log goes."""

    def write(self, text: str, /) -> object:
        """Take a line."""
        ...

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        ...


def get_log(name: str) -> Log:
    """A logger; fields bound at the edge (request, run) are added to all it says."""
    log: Log = structlog.get_logger(name)
    return log


def configure_logging(*, stream: Stream = sys.stderr, level: int = logging.INFO) -> None:
    """Set up logging of this process; call it once, where the process starts.

    Tracebacks never show local variables: they may hold secrets.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if stream.isatty():
        last: list[structlog.typing.Processor] = [
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        ]
    else:
        last = [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
    # Our own lines go straight to the stream: the way over the standard library costs four times
    # as much, at every request. Other packages' lines take it, and look the same in the end.
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Lines:
    """Writes each line to a stream; it makes itself as a logger for every name."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __call__(self, *names: object) -> "_Lines":
        return self

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")

    debug = info = warning = error = critical = exception = _write
