"""A model built anew with some parts exchanged; models are frozen dataclasses all through."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from operator import is_not
from typing import TypeVar, cast

Part = TypeVar("Part")
Change = Callable[[object], object | None]
"""What stands in a part's place; none to look into the part itself."""


def rebuilt(whole: Part, change: Change) -> Part:
    """The same with every part changed that `change` has an answer for, outermost first."""
    return cast("Part", _rebuilt(whole, change))  # a part's place says what may stand there


def _rebuilt(part: object, change: Change) -> object:
    if (changed := change(part)) is not None:
        return changed
    if isinstance(part, tuple):
        items = cast("tuple[object, ...]", part)
        changed_items = tuple(_rebuilt(item, change) for item in items)
        return changed_items if any(map(is_not, changed_items, items)) else part
    if not is_dataclass(part) or isinstance(part, type):
        return part
    own = {field.name: getattr(part, field.name) for field in fields(part) if field.init}
    rebuilt_fields = {name: _rebuilt(value, change) for name, value in own.items()}
    changes = {name: new for name, new in rebuilt_fields.items() if new is not own[name]}
    return replace(part, **changes) if changes else part
