"""Text to a document: YAML or JSON, bounded before it is built, every value with its place."""

import re

from treadle.agents.errors import Issue, TemplateInvalid
from treadle.agents.language.document import Document, Spot, dotted
from treadle.agents.language.json_reader import JsonReader
from treadle.agents.language.syntax import WrongSyntax
from treadle.agents.language.yaml_reader import YamlReader

MAX_BYTES = 256 * 1024
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"
)


def load(source: str | bytes) -> Document:
    """Read a template's text; raises `TemplateInvalid` with the one thing that stops it."""
    try:
        text = _decode(source)
        _check_characters(text)
        return _read(text)
    except WrongSyntax as error:
        issue = Issue(
            "error", dotted(error.path), error.spot.line, error.spot.column, error.message,
            error.hint,
        )  # fmt: skip
        raise TemplateInvalid([issue]) from None


def _read(text: str) -> Document:
    """Text that starts with a brace is tried as JSON first: YAML's own JSON has gaps."""
    if not text.lstrip(" \t\r\n").startswith("{"):
        return YamlReader(text).read()
    try:
        return JsonReader(text).read()
    except WrongSyntax as json_error:
        if json_error.is_final:
            raise
        try:
            return YamlReader(text).read()
        except WrongSyntax as yaml_error:
            farthest = max(json_error, yaml_error, key=lambda e: (e.spot.line, e.spot.column))
            raise farthest from None


def _decode(source: str | bytes) -> str:
    size = len(source) if isinstance(source, bytes) else len(source.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise WrongSyntax(
            Spot(1, 1),
            f"a template has at most {MAX_BYTES // 1024} KiB, this text has {size} bytes",
        )
    if isinstance(source, str):
        return source.removeprefix("\ufeff")
    try:
        return source.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        spot = _spot_of(source[: error.start].decode(errors="replace"))
        message = f"the text is not UTF-8: byte 0x{source[error.start]:02x}"
        raise WrongSyntax(spot, message, hint="Save the file as UTF-8.") from None


def _check_characters(text: str) -> None:
    found = _FORBIDDEN.search(text)
    if found is not None:
        shown = f"U+{ord(found[0]):04X}"
        message = f"the character {shown} may not stand in a template"
        raise WrongSyntax(_spot_of(text[: found.start()]), message)


def _spot_of(before: str) -> Spot:
    return Spot(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
