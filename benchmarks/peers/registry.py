"""The peers by name."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.figures import Figures


@dataclass(frozen=True)
class Options:
    """What a peer may use."""

    database_url: str
    model_url: str
    model_pid: int
    port: int
    seconds: float
    home: Path


class NotInstalled(Exception):
    """The peer is not on this machine; the message says what to install."""


PEERS = ("postgres", "langgraph", "langgraph-postgres", "dbos", "restate")


def measure(name: str, options: Options) -> Iterator[Figures]:
    """One peer's figures; none, and a line that says why, where it is not installed.

    One that breaks off keeps what it had measured, and the next has its turn.
    """
    module = importlib.import_module(f"peers.{name.replace('-', '_')}")
    try:
        yield from module.measure(options)
    except NotInstalled as reason:
        print(f"{name}: left out: {reason}")
    except Exception as error:  # noqa: BLE001 - a peer's fault, of whatever kind, is not the others'
        print(f"{name}: broke off: {type(error).__name__}: {error}")
