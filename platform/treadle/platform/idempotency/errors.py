"""What becomes of a request that names a key which was used before."""

from collections.abc import Mapping
from types import MappingProxyType

from fastapi import Response

from treadle.platform.errors import Conflict, Unprocessable

RETRY_AFTER_S = 1


class KeyUnfit(Unprocessable):
    """The header holds no key."""

    def __init__(self, longest: int) -> None:
        super().__init__(
            f"an Idempotency-Key has 1 to {longest} printable ASCII characters;"
            " a UUID made for this request serves well",
            code="idempotency_key_invalid",
        )


class KeyReused(Unprocessable):
    """The key belongs to another request."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} was sent with another body or to another path before:"
            " a new request needs a new key",
            code="idempotency_key_reused",
        )


class KeyInProgress(Conflict):
    """The first request of this key has no answer yet."""

    headers: Mapping[str, str] = MappingProxyType({"Retry-After": str(RETRY_AFTER_S)})

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the first request with the Idempotency-Key {key!r} is still under way; try again",
            code="idempotency_key_in_progress",
        )


class Replay(Exception):
    """No error: there is an answer already, and it leaves past the route."""

    def __init__(self, response: Response) -> None:
        super().__init__("answered before")
        self.response = response
