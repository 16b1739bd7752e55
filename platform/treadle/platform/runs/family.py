"""Which templates the `template:` nodes of a run mean: looked up before the run is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from treadle.agents.errors import Issue, TemplateInvalid
from treadle.agents.language import Template, declared_inputs
from treadle.agents.language.document import Spot, dotted
from treadle.agents.language.findings import did_you_mean_or
from treadle.agents.language.loading import load
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
from treadle.platform.templates.library import Checked, TemplateLibrary
from treadle.platform.templates.repository import get_lock, get_text, keep_text, set_lock
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

    What was locked when a text was published stays. Raises `AgentInvalid` for a child that is not
    there, and for a template that runs itself.
    """
    locked = await get_lock(tx, sha256)
    if locked is not None:
        return Family.read(locked)
    finder = _Finder(tx, library)
    await finder.add(template, sha256, (template.name,))
    return Family(finder.members)


async def lock_family(tx: TenantConnection, library: TemplateLibrary, checked: Checked) -> None:
    """Fix what the `template:` nodes of a text mean, as it is published; keeps an older lock.

    Raises `TemplateInvalid` where a child is not there, does not fit, or runs this template.
    """
    template = checked.template
    if not has_children(template) or await get_lock(tx, checked.sha256) is not None:
        return
    try:
        family = await find_family(tx, library, template, checked.sha256)
    except AgentInvalid as error:
        raise TemplateInvalid(_placed(checked, error.issues or [])) from error
    issues: list[Issue] = []
    for path, node in child_nodes(template):
        member = family.child(checked.sha256, node.use)
        child = library.check(await get_text(tx, member.sha256)).template
        issues += _misfits(child, node, path)
    if issues:
        raise TemplateInvalid(_placed(checked, issues))
    await set_lock(tx, checked.sha256, family.write())


def _misfits(child: Template, node: ChildNode, path: Path) -> Iterator[Issue]:
    """What a node gives that its child does not take, and what it lacks."""
    declared = declared_inputs(child)
    for name in node.inputs:
        if name not in declared:
            hint = did_you_mean_or(name, declared, what=f"`{node.template}` takes")
            message = f"`{node.template}` has no input `{name}`"
            yield _issue((*path, "with", name), message, hint)
    for name, one in declared.items():
        if one.is_required and name not in node.inputs:
            yield _issue((*path, "with"), f"`{node.template}` needs the input `{name}`")
    for theirs in node.connections:
        if theirs not in child.connections:
            hint = did_you_mean_or(theirs, child.connections, what=f"`{node.template}` has")
            message = f"`{node.template}` has no connection `{theirs}`"
            yield _issue((*path, "connections", theirs), message, hint)
    for theirs, need in child.connections.items():
        if not need.optional and theirs not in node.connections:
            hint = f"Add `connections: {{{theirs}: …}}`."
            yield _issue((*path, "use"), f"`{node.template}` needs the connection `{theirs}`", hint)


def _placed(checked: Checked, issues: Sequence[Issue]) -> list[Issue]:
    """The issues with their places in the text."""
    document = load(checked.text)
    spots = {dotted(path): spot for path, spot in document.values.items()}
    placed: list[Issue] = []
    for issue in issues:
        spot = spots.get(issue.path) or spots.get(issue.path.rpartition(".")[0]) or Spot(1, 1)
        placed.append(replace(issue, line=spot.line, column=spot.column))
    return placed


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
            locked = await get_lock(self._tx, child.sha256)
            if locked is None:
                await self.add(child.template, child.sha256, (*above, node.template))
            else:
                self._take_over(Family.read(locked), path, (*above, node.template))

    def _take_over(self, locked: Family, path: Path, above: tuple[str, ...]) -> None:
        """Add what a child's own publishing fixed."""
        for digest, uses in locked.members.items():
            for member in uses.values():
                if member.name in above:
                    way = " → ".join((*above, "…", member.name))
                    raise _refused(path, f"a template may not run itself: {way}")
            self.members.setdefault(digest, {}).update(uses)


def _children(nodes: Mapping[str, Node], path: Path) -> Iterator[tuple[Path, ChildNode]]:
    for name, node in nodes.items():
        at = (*path, name)
        if isinstance(node, ChildNode):
            yield at, node
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            for inner, within in inner_nodes(node):
                yield from _children(within, (*at, *inner))


def _refused(path: Path, message: str) -> AgentInvalid:
    return AgentInvalid([_issue((*path, "use"), message)])


def _issue(path: Path, message: str, hint: str | None = None) -> Issue:
    return Issue("error", dotted(path), None, None, message, hint)
