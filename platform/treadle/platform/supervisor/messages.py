"""What the supervisor and the nursery say to each other, one JSON object per packet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

MESSAGE_SIZE = 1 << 16


@dataclass(frozen=True, slots=True)
class Birth:
    """Fork a process that runs `main(args)` of a module; a pipe for its output comes along.

    Attributes:
        env: Added to the environment that the nursery was started with.
    """

    name: str
    module: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    stop_signal: int


@dataclass(frozen=True, slots=True)
class Born:
    """The process of the last birth."""

    pid: int
    kind: Literal["born"] = "born"


@dataclass(frozen=True, slots=True)
class Ended:
    """A process has ended; a negative code is a signal's number."""

    pid: int
    returncode: int
    kind: Literal["ended"] = "ended"


_BIRTH = TypeAdapter(Birth)
_NEWS: TypeAdapter[Born | Ended] = TypeAdapter(Born | Ended)


def encode(news: Born | Ended) -> bytes:
    """Write what the nursery says."""
    return _NEWS.dump_json(news)


def decode(packet: bytes) -> Born | Ended:
    """Read what the nursery says."""
    return _NEWS.validate_json(packet)


def encode_birth(birth: Birth) -> bytes:
    """Write what the supervisor asks for."""
    return _BIRTH.dump_json(birth)


def decode_birth(packet: bytes) -> Birth:
    """Read what the supervisor asks for."""
    return _BIRTH.validate_json(packet)
