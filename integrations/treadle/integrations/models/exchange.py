"""One exchange with an endpoint, whatever carries it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Response:
    """What came back.

    Attributes:
        headers: Found by name in any case.
        pieces: The body as it comes; raises `ExchangeFailed`.
    """

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


class ExchangeFailed(Exception):
    """The connection failed.

    Attributes:
        is_unsent: Nothing was sent, so nothing was done.
    """

    def __init__(self, message: str, *, is_unsent: bool) -> None:
        super().__init__(message)
        self.is_unsent = is_unsent
