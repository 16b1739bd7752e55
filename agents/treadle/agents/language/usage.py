"""Checks the edges: cycles, and nodes whose work nobody sees."""

from collections.abc import Mapping

from treadle.agents.language.findings import Findings
from treadle.agents.language.graph import dependencies, find_cycles
from treadle.agents.language.scopes import Layout
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.tool import ToolNode
from treadle.integrations.base import Effect
from treadle.integrations.registry import AnyTool

MOST_SHOWN = 20


def check_cycles(layout: Layout, findings: Findings) -> None:
    """Report one cycle of every group of nodes that wait for each other."""
    for path, scope in layout.scopes:
        for cycle in find_cycles(dependencies(scope.nodes)):
            at = (*path, cycle[0])
            shown = (
                cycle if len(cycle) <= MOST_SHOWN else [*cycle[: MOST_SHOWN - 2], "…", cycle[-1]]
            )
            message = f"a cycle, these nodes wait for each other: {' → '.join(shown)}"
            if len(cycle) == 2:
                message = f"a cycle: `{cycle[0]}` reads itself"
            hint = "References make edges; only a loop goes back."
            findings.error(at, message, hint, spot=findings.document.key_spot(at))


def check_unused(
    layout: Layout,
    read: set[tuple[int, str]],
    tools: Mapping[str, AnyTool],
    findings: Findings,
) -> None:
    """Warn about nodes without an effect outside that nothing reads (`ReferenceCheck.read`)."""
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
