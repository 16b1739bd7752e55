"""Which templates the `template:` nodes of a run mean: looked up before the run is made."""

from collections.abc import Iterator, Mapping

from treadle.agents.errors import Issue
from treadle.agents.language import Template
from treadle.agents.language.document import dotted
from treadle.agents.language.walk import inner_nodes
from treadle.agents.nodes import Node
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.switch import SwitchNode
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.db.database import TenantConnection
from treadle.platform.engine.families import Family, Member
from treadle.platform.errors import NotFound
from treadle.platform.templates.library import TemplateLibrary
from treadle.platform.templates.repository import keep_text
from treadle.platform.templates.resolution import resolve_name


def has_children(template: Template) -> bool:
    """Whether it has a `template:` node."""
    return bool(child_nodes(template))


def child_nodes(template: Template) -> list[tuple[Path, ChildNode]]:
    """Every `template:` node of a template, wherever it stands, `on_failure` too."""
    found = list(_children(template.nodes, ("nodes",)))
    if template.on_failure is not None:
        found += _children(template.on_failure.nodes, ("on_failure", "nodes"))
    return found


async def find_family(
    tx: TenantConnection, library: TemplateLibrary, template: Template, sha256: bytes
) -> Family:
    """Fix every child at its newest version in range, and keep their texts.

    Raises `AgentInvalid` for a child that is not there, and for a template that runs itself.
    """
    finder = _Finder(tx, library)
    await finder.add(template, sha256, (template.name,))
    return Family(finder.members)


class _Finder:
    def __init__(self, tx: TenantConnection, library: TemplateLibrary) -> None:
        self._tx = tx
        self._library = library
        self.members: dict[bytes, dict[str, Member]] = {}

    async def add(self, template: Template, sha256: bytes, above: tuple[str, ...]) -> None:
        """Add a template's children, and theirs; `above` are the names on the way to it."""
        for path, node in child_nodes(template):
            if node.template in above:
                way = " → ".join((*above, node.template))
                raise _refused(path, f"a template may not run itself: {way}")
            try:
                found = await resolve_name(
                    self._tx, self._library, node.template, version=node.version_range
                )
            except NotFound as error:
                raise _refused(path, error.message) from error
            child = found.checked
            await keep_text(self._tx, child)
            uses = self.members.setdefault(sha256, {})
            uses[node.use] = Member(child.sha256, found.name, found.version)
            await self.add(child.template, child.sha256, (*above, node.template))


def _children(nodes: Mapping[str, Node], path: Path) -> Iterator[tuple[Path, ChildNode]]:
    for name, node in nodes.items():
        at = (*path, name)
        if isinstance(node, ChildNode):
            yield at, node
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            for inner, within in inner_nodes(node):
                yield from _children(within, (*at, *inner))


def _refused(path: Path, message: str) -> AgentInvalid:
    return AgentInvalid([Issue("error", dotted((*path, "use")), None, None, message)])
