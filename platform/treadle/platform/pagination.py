"""Lists: `{"items": […], "next": cursor|null}`, with `limit` up to 200 and an opaque cursor."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from treadle.platform.errors import Unprocessable

MOST_ITEMS = 200

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Most items of one page.")]
Cursor = Annotated[
    str | None, Query(max_length=400, description="`next` of the page before this one.")
]

T = TypeVar("T")
R = TypeVar("R")


class Page(BaseModel, Generic[T]):
    """One page of a list; `next` is null on the last."""

    items: list[T]
    next: str | None


def read_cursor(cursor: str | None) -> str | None:
    """Return the position that `make_page` put into a cursor; raises `Unprocessable`."""
    if cursor is None:
        return None
    try:
        position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError):
        raise _bad_cursor(cursor) from None
    if not position.isprintable():
        raise _bad_cursor(cursor)
    return position


def read_id_cursor(cursor: str | None) -> UUID | None:
    """Return the position as an id."""
    position = read_cursor(cursor)
    try:
        return None if position is None else UUID(position)
    except ValueError:
        raise _bad_cursor(position or "") from None


def read_offset_cursor(cursor: str | None) -> int:
    """Return the position as a number of items; for short lists that change rarely."""
    position = read_cursor(cursor)
    if position is None:
        return 0
    if not position.isdecimal() or len(position) > 9:
        raise _bad_cursor(position)
    return int(position)


def make_page(
    rows: Sequence[R], *, limit: int, show: Callable[[R], T], position: Callable[[R], object]
) -> Page[T]:
    """Make a page of rows; one more than `limit` was asked for, to see if there are more."""
    shown = rows[:limit]
    after = str(position(shown[-1])) if len(rows) > limit else None
    return Page[T](
        items=[show(row) for row in shown],
        next=base64.urlsafe_b64encode(after.encode()).decode().rstrip("=") if after else None,
    )


def _bad_cursor(cursor: str) -> Unprocessable:
    return Unprocessable(
        f"cursor {cursor!r} is none; send back the `next` of a page as it came",
        code="invalid_cursor",
    )
