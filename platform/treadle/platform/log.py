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
    log: Log = structlog.stdlib.get_logger(name)
    return log


def configure_logging(*, stream: Stream = sys.stderr, level: int = logging.INFO) -> None:
    """Set up logging of this process; call it once, where the process starts.

    Tracebacks never show local variables: they may hold secrets.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
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
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
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
