"""Which statuses of an answer are fine."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

ExpectedStatus = (
    Annotated[int, Field(ge=100, le=599)] | Annotated[str, Field(pattern=r"^[1-5](xx|[0-9]{2})$")]
)


def is_expected(status: int, expected: Sequence[int | str] | None) -> bool:
    """Whether a status is among `[200, 2xx]`; without a list all but 5xx and 429 are."""
    if expected is None:
        return status < 500 and status != 429
    return any(_matches(status, item) for item in expected)


def _matches(status: int, item: int | str) -> bool:
    text = str(item)
    return text == str(status) or text == f"{status // 100}xx"
