"""Data paths: private data and content from outside may not leave together to an open place.

Content from outside can hold orders, and a model obeys. So one call that sends something that both
flowed into needs a destination that the template fixes, or a person who decides. Fixed are: a
host, recipient or file written in the template, `run.owner`, what the bound account made, and the
bound account itself.
"""

import re
from collections.abc import Iterator, Mapping

from treadle.agents.expressions import Reference
from treadle.agents.language.findings import Findings
from treadle.agents.language.labels import (
    BOTH,
    Label,
    LabelCheck,
    Labels,
    is_decided_by_person,
    tool_labels,
)
from treadle.agents.language.model import Template
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import Layout, Visit
from treadle.agents.language.walk import expressions
from treadle.agents.nodes.agent import AgentNode, AgentTool
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.fields import Condition, Path, Value
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.integrations.base import Effect
from treadle.integrations.registry import AnyTool

_FIXED_HOST = re.compile(r"https?://[^/?#\s$@\\]+[/?#]", re.IGNORECASE)
_HINT = (
    "Write the host, recipient or file in the template, send it to run.owner, or let a person"
    " decide: an approval without `on_timeout`, and `when: <approval>.action == '…'`."
)


class DataPathCheck:
    """Checks everything in a template that sends."""

    def __init__(self, template: Template, layout: Layout, findings: Findings) -> None:
        self._labels = LabelCheck(template, layout)
        self._visits = layout.visits
        self._by_path: dict[Path, Visit] = {visit.path: visit for visit in layout.visits}
        self._findings = findings

    def check(self) -> None:
        """Report every unsafe path."""
        for visit in self._visits:
            match visit.node:
                case ToolNode():
                    self._check_tool(visit, visit.node)
                case AgentNode():
                    self._check_agent(visit, visit.node)
                case _:
                    pass

    def _check_tool(self, visit: Visit, node: ToolNode) -> None:
        tool = visit.scope.world.tools.get(node.use)
        if tool is None or not tool.is_outward or self._is_fixed(tool, node.arguments, visit.scope):
            return
        sent = self._labels.of_expressions(node.arguments.values(), visit.scope)
        if _is_mixed(sent) and not self._has_gate(visit):
            at = (*visit.path, "use")
            self._report(sent, f"`{visit.name}`", at)

    def _check_agent(self, visit: Visit, node: AgentNode) -> None:
        """What the model has read is in everything it writes."""
        tools = visit.scope.world.tools
        known = [(i, entry, tools[entry.use]) for i, entry in enumerate(node.config.tools)
                 if entry.use in tools]  # fmt: skip
        read: Labels = self._labels.of_node(visit)
        for _, entry, tool in known:
            read |= dict.fromkeys(tool_labels(tool, entry.connection), tool.name)
        for index, entry, tool in known:
            is_open = tool.is_outward and not self._is_entry_fixed(tool, entry, visit.scope)
            if is_open and _is_mixed(read) and not entry.approve and not self._has_gate(visit):
                at = (*visit.path, "with", "tools", index)
                self._report(read, f"the tool `{tool.name}` of `{visit.name}`", at, is_agent=True)

    def _report(self, sent: Labels, sender: str, path: Path, *, is_agent: bool = False) -> None:
        private, outside = sent[Label.PRIVATE], sent[Label.UNTRUSTED]
        message = (
            f"private data (from `{private}`) and content from outside (from `{outside}`) leave"
            f" through {sender} to a place that is not fixed"
        )
        hint = f"Add `approve: true` to the tool. {_HINT}" if is_agent else _HINT
        self._findings.error(path, message, hint)

    def _is_entry_fixed(self, tool: AnyTool, entry: AgentTool, scope: Scope) -> bool:
        is_chosen = tool.destinations & set(entry.model_may_choose) - entry.fixed.keys()
        return not is_chosen and self._is_fixed(tool, entry.fixed, scope)

    def _is_fixed(self, tool: AnyTool, arguments: Mapping[str, Value], scope: Scope) -> bool:
        if not tool.destinations:
            return tool.connection is not None and not tool.connection_optional
        given = (arguments[name] for name in tool.destinations if name in arguments)
        return all(self._is_fixed_value(value, scope) for value in given)

    def _is_fixed_value(self, value: Value, scope: Scope) -> bool:
        for leaf in value.leaves:
            begins_fixed = _FIXED_HOST.match(leaf.source.split("${", 1)[0])
            if not begins_fixed and not all(self._is_own(r, scope) for r in leaf.references):
                return False
        return True

    def _is_own(self, reference: Reference, scope: Scope) -> bool:
        """Whether it names the owner, or what a tool made in the bound account."""
        if reference.name == "run":
            return reference.fields == ("owner",)
        visit = self._labels.visit_of(reference, scope)
        if visit is None or not isinstance(visit.node, ToolNode):
            return False
        tool = scope.world.tools.get(visit.node.use)
        return (
            tool is not None
            and tool.connection is not None
            and not tool.is_outward
            and tool.effect is not Effect.READ
        )

    def _has_gate(self, visit: Visit) -> bool:
        """Whether a person decides before it runs: by a condition, or by an only way on."""
        if any(self._is_decision(when, scope) for when, scope in self._conditions(visit)):
            return True
        return any(
            isinstance(one.node, ApprovalNode)
            and len(one.node.config.actions) == 1
            and is_decided_by_person(one.node)
            for one in self._awaited(visit)
        )

    def _is_decision(self, when: Condition, scope: Scope) -> bool:
        return Label.DECIDED in self._labels.of_expressions([when], scope)

    def _conditions(self, visit: Visit) -> Iterator[tuple[Condition, Scope]]:
        """Every condition that the node stands under, with the scope it is evaluated in."""
        for around, case in self._around(visit):
            if around.node.when is not None:
                yield around.node.when, around.scope
            if isinstance(around.node, SwitchNode) and case is not None:
                for index in range(case + 1):  # `else` is reached when those before do not hold
                    when = around.node.cases[index].when
                    if when is not None:
                        yield when, around.scope

    def _around(self, visit: Visit) -> Iterator[tuple[Visit, int | None]]:
        """The node and the containers around it, these with the case it lies in."""
        yield visit, None
        for end in range(len(visit.path) - 1, 0, -1):
            outer = self._by_path.get(visit.path[:end])
            if outer is not None:
                following = visit.path[end : end + 2]
                case = following[1] if len(following) == 2 and following[0] == "cases" else None
                yield outer, case if isinstance(case, int) else None

    def _awaited(self, visit: Visit) -> Iterator[Visit]:
        """The nodes that the node or a container around it awaits by name."""
        for around, _ in self._around(visit):
            for name in around.node.needs:
                one = self._by_path.get((*around.path[:-1], name))
                if one is not None:
                    yield one
            for _, expression in expressions(around.node):
                for reference in expression.references:
                    one = self._labels.visit_of(reference, around.scope)
                    if one is not None:
                        yield one


def _is_mixed(labels: Labels) -> bool:
    return all(label in labels for label in BOTH)
