"""Checks the edges: cycles, and nodes whose work nobody sees."""

from collections.abc import Iterable, Iterator, Mapping

from treadle.agents.language.findings import Findings
from treadle.agents.language.graph import dependencies, find_cycles, node_read
from treadle.agents.language.model import Template
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import Layout
from treadle.agents.language.walk import expressions
from treadle.agents.nodes.base import Part
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.tool import ToolNode
from treadle.integrations.base import Effect
from treadle.integrations.registry import AnyTool


def check_cycles(layout: Layout, findings: Findings) -> None:
    """Report one cycle of every group of nodes that wait for each other."""
    for path, scope in layout.scopes:
        for cycle in find_cycles(dependencies(scope.nodes)):
            at = (*path, cycle[0])
            message = f"these nodes wait for each other: {' → '.join(cycle)}"
            if len(cycle) == 2:
                message = f"`{cycle[0]}` reads itself"
            hint = "References make edges; only a loop goes back."
            findings.error(at, message, hint, spot=findings.document.key_spot(at))


def check_unused(
    template: Template, layout: Layout, tools: Mapping[str, AnyTool], findings: Findings
) -> None:
    """Warn about nodes without an effect outside that nothing reads."""
    read = set(_names_read(template, layout))
    for path, scope in layout.scopes:
        for name, node in scope.nodes.items():
            is_quiet = isinstance(node, LlmNode | SetNode | KnowledgeNode) or (
                isinstance(node, ToolNode) and _only_reads(tools.get(node.use))
            )
            if is_quiet and (id(scope), name) not in read:
                at: Path = (*path, name)
                spot = findings.document.key_spot(at)
                hint = "Read it in another node or in `outputs`, or remove it."
                findings.warning(at, f"nothing reads `{name}`", hint, spot=spot)


def _only_reads(tool: AnyTool | None) -> bool:
    return tool is not None and tool.effect is Effect.READ


def _names_read(template: Template, layout: Layout) -> Iterator[tuple[int, str]]:
    """Every node that is read, with the scope it stands in."""
    yield from _read_by(template, layout.root)
    for visit in layout.visits:
        scopes = [visit.scope, *visit.scope.inner[visit.name]]
        for scope in scopes:
            yield from _read_by(visit.node, scope)
            yield from _held(visit.node.needs, scope)


def _read_by(part: Part, scope: Scope) -> Iterator[tuple[int, str]]:
    for _, expression in expressions(part):
        yield from _held((node_read(reference) for reference in expression.references), scope)


def _held(names: Iterable[str], scope: Scope) -> Iterator[tuple[int, str]]:
    for name in names:
        holder = scope.holder_of(name)
        if holder is not None:
            yield id(holder), name
