"""Templates as this process knows them: the bundled ones, and all it has parsed, by digest."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from treadle.agents.errors import Issue, TemplateInvalid
from treadle.agents.language import Template, parse_template
from treadle.integrations.registry import all_tools
from treadle.platform.log import get_log

_MOST_PARSED = 512

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Checked:
    """A template without errors, and the text it was read from.

    Attributes:
        warnings: What is probably not meant.
    """

    text: str
    sha256: bytes
    template: Template
    warnings: tuple[Issue, ...]


class TemplateLibrary:
    """Parses each text once."""

    def __init__(self) -> None:
        self.bundled = read_bundled()
        self._parsed = OrderedDict((one.sha256, one) for one in self.bundled.values())

    def check(self, text: str) -> Checked:
        """Parse and check a text; raises `TemplateInvalid` with every issue."""
        digest = sha256(text.encode()).digest()
        if digest in self._parsed:
            self._parsed.move_to_end(digest)
            return self._parsed[digest]
        checked = self._parsed[digest] = _check(text, digest)
        if len(self._parsed) > _MOST_PARSED:
            self._parsed.popitem(last=False)
        return checked

    def known(self, digest: bytes) -> Checked | None:
        """What `check` found lately for a text, by its digest."""
        return self._parsed.get(digest)


@cache
def read_bundled() -> Mapping[str, Checked]:
    """Parse the bundled templates, once in a process and in those that are forked from it."""
    found: dict[str, Checked] = {}
    for file in bundled_files():
        text = file.read_text(encoding="utf-8")
        try:
            checked = _check(text, sha256(text.encode()).digest())
        except TemplateInvalid as error:
            log.warning("templates.bundled_invalid", file=file.name, error=str(error))
            continue
        found[checked.template.name] = checked
    return MappingProxyType(found)


def bundled_files() -> list[Traversable]:
    """The YAML files that come with Treadle, in a checkout as in a wheel."""
    packaged = files("treadle") / "templates"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[4] / "templates"
    if not folder.is_dir():
        return []
    found = [file for file in folder.iterdir() if file.name.endswith(".yaml")]
    return sorted(found, key=lambda file: file.name)


def _check(text: str, digest: bytes) -> Checked:
    parsed = parse_template(text, tools=all_tools())
    return Checked(text, digest, parsed.template, parsed.warnings)
