"""What both readers share: their one error, their limits, and how a document is built."""

from typing import TypeAlias

from treadle.agents.language.document import Document, Spot
from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonValue

Holder: TypeAlias = "dict[str, JsonValue] | list[JsonValue]"

MAX_DEPTH = 24
MAX_NODES = 20_000


class WrongSyntax(Exception):
    """The text cannot be read; nothing after `spot` was looked at.

    Attributes:
        is_final: Another reader of the text would say the same.
    """

    def __init__(
        self,
        spot: Spot,
        message: str,
        *,
        path: Path = (),
        hint: str | None = None,
        is_final: bool = False,
    ) -> None:
        super().__init__(message)
        self.spot = spot
        self.message = message
        self.path = path
        self.hint = hint
        self.is_final = is_final


class Builder:
    """Builds a document from a stream of starts, ends and scalars; bounded while it grows."""

    def __init__(self, text: str) -> None:
        self.document = Document(text)
        self._open: list[Holder] = []
        self._paths: list[Path] = [()]
        self._key: str | None = None
        self._count = 0

    @property
    def expects_key(self) -> bool:
        """Whether what comes next is a key of a mapping."""
        return bool(self._open) and isinstance(self._open[-1], dict) and self._key is None

    @property
    def path(self) -> Path:
        """Where the next value stands."""
        if not self._open:
            return ()
        top = self._open[-1]
        return (*self._paths[-1], len(top) if isinstance(top, list) else self._key or "")

    def key(self, name: str, spot: Spot) -> None:
        """A key of the innermost mapping; a second one of its name is refused."""
        path = (*self._paths[-1], name)
        first = self.document.keys.get(path)
        if first is not None:
            message = (
                f"the key {name[:80]!r} stands here twice; "
                f"the first is at line {first.line}, column {first.column}"
            )
            raise WrongSyntax(spot, message, path=path, is_final=True)
        self.document.keys[path] = spot
        self._key = name

    def scalar(self, value: JsonValue, spot: Spot) -> None:
        """A text, number, boolean or null."""
        self._put(value, spot)

    def start(self, container: Holder, spot: Spot) -> None:
        """A mapping or a list begins."""
        path = self._put(container, spot)
        self._open.append(container)
        self._paths.append(path)
        if len(self._open) > MAX_DEPTH:
            message = f"the template is nested deeper than {MAX_DEPTH} levels"
            raise WrongSyntax(spot, message, is_final=True)

    def end(self) -> None:
        """The innermost mapping or list ends."""
        self._open.pop()
        self._paths.pop()

    def _put(self, value: JsonValue, spot: Spot) -> Path:
        self._count += 1
        if self._count > MAX_NODES:
            message = f"the template has more than {MAX_NODES} values"
            raise WrongSyntax(spot, message, is_final=True)
        path = self.path
        self.document.values[path] = spot
        if not self._open:
            self.document.content = value
            return path
        top = self._open[-1]
        if isinstance(top, list):
            top.append(value)
        else:
            top[self._key or ""] = value
            self._key = None
        return path
