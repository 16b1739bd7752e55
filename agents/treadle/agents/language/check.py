"""Everything that can be known about a template before it runs."""

from collections.abc import Mapping

from treadle.agents.language.arguments import ArgumentCheck, parameters
from treadle.agents.language.choices import check_choices, check_schedule
from treadle.agents.language.connections import ConnectionCheck
from treadle.agents.language.data_paths import DataPathCheck
from treadle.agents.language.findings import Findings, did_you_mean_or
from treadle.agents.language.fitting import described, is_surely_no_list, misfitting_arguments
from treadle.agents.language.mocks import MockCheck
from treadle.agents.language.model import Template
from treadle.agents.language.names import check_names
from treadle.agents.language.outputs import value_shape
from treadle.agents.language.references import ReferenceCheck
from treadle.agents.language.schemas import SchemaCheck
from treadle.agents.language.scope import Scope
from treadle.agents.language.scopes import Layout, Visit, lay_out
from treadle.agents.language.triggers import ScheduleTrigger, ToolTrigger
from treadle.agents.language.usage import check_cycles, check_unused
from treadle.agents.language.versions import WrongVersion, parse_range, parse_version
from treadle.agents.nodes.agent import AgentNode, AgentTool
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.fields import Path, Value
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.tool import ToolNode
from treadle.integrations.base import Effect
from treadle.integrations.registry import AnyTool


def check(template: Template, findings: Findings, *, tools: Mapping[str, AnyTool]) -> None:
    """Report all that is wrong or doubtful; the template may already be mended."""
    layout = lay_out(template, findings.document, tools)
    try:
        parse_version(template.version)
    except WrongVersion as error:
        findings.error(("version",), str(error), "Write major.minor.patch.")
    check_names(template, layout, findings)
    are_schemas_sound = SchemaCheck(template, findings).check(layout.visits)
    references = ReferenceCheck(template, layout, findings)
    references.check()
    _NodeCheck(template, findings, tools).check(layout)
    MockCheck(template, layout, findings).check(with_inputs=are_schemas_sound)
    DataPathCheck(template, layout, findings).check()
    check_cycles(layout, findings)
    check_unused(layout, references.read, tools, findings)


class _NodeCheck:
    """What each node and trigger says by itself: tools, connections, choices."""

    def __init__(
        self, template: Template, findings: Findings, tools: Mapping[str, AnyTool]
    ) -> None:
        self._template = template
        self._findings = findings
        self._arguments = ArgumentCheck(tools, findings)
        self._connections = ConnectionCheck(template, findings)

    def check(self, layout: Layout) -> None:
        for visit in layout.visits:
            check_choices(visit.node, visit.path, self._findings)
            self._check_tools(visit)
        for index, trigger in enumerate(self._template.triggers):
            path: Path = ("triggers", index)
            if isinstance(trigger, ScheduleTrigger):
                check_schedule(trigger, path, self._findings)
            if isinstance(trigger, ToolTrigger):
                self._check_trigger(trigger, path)
            self._check_trigger_inputs(list(trigger.inputs), path)
        self._connections.check_unused()

    def _check_tools(self, visit: Visit) -> None:
        node, path = visit.node, visit.path
        match node:
            case ToolNode():
                tool = self._arguments.find(node.use, (*path, "use"))
                if tool is not None:
                    with_path = (*path, "with")
                    self._arguments.check(tool, node.arguments, with_path, holder=path)
                    self._check_types(tool, node.arguments, with_path, visit.scope)
                    self._connections.check_use(tool, node.connection, path, visit.guards)
                    self._check_kind(tool, (*path, "use"), is_trigger=False)
                    self._check_cache(tool, node, path)
                elif node.connection is not None:
                    self._connections.check_name(node.connection, (*path, "connection"))
            case AgentNode():
                for index, entry in enumerate(node.config.tools):
                    at = (*path, "with", "tools", index)
                    self._check_agent_tool(entry, at, visit)
            case MapNode():
                self._check_over(node, visit)
            case ChildNode():
                self._check_child(node, path)
            case _:
                return

    def _check_types(
        self, tool: AnyTool, arguments: Mapping[str, Value], path: Path, scope: Scope
    ) -> None:
        for name, why in misfitting_arguments(tool, arguments, scope):
            message = f"wrong argument of `{tool.name}`: `{name}` {why}"
            self._findings.error((*path, name), message)

    def _check_over(self, node: MapNode, visit: Visit) -> None:
        if not node.over.is_constant:
            shape = value_shape(visit.scope, node.over)
            if is_surely_no_list(shape):
                message = f"`over` takes a list, found {described(shape)}"
                self._findings.error((*visit.path, "over"), message)

    def _check_kind(self, tool: AnyTool, path: Path, *, is_trigger: bool) -> None:
        if tool.is_trigger and not is_trigger:
            hint = "Put it under `triggers`."
            self._findings.error(path, f"`{tool.name}` starts runs; no node calls it", hint)
        if is_trigger and not tool.is_trigger:
            hint = "Use it in a node, and start the run by a schedule."
            self._findings.error(path, f"`{tool.name}` starts no runs", hint)

    def _check_cache(self, tool: AnyTool, node: ToolNode, path: Path) -> None:
        if node.cache is not None and tool.effect is not Effect.READ:
            message = "`cache` leaves out the effect of this tool while a cached result lasts"
            self._findings.warning((*path, "cache"), message, "Remove it if each run needs it.")

    def _check_agent_tool(self, entry: AgentTool, path: Path, visit: Visit) -> None:
        is_name = isinstance(self._findings.document.at(path), str)
        tool = self._arguments.find(entry.use, path if is_name else (*path, "use"))
        if tool is None:
            return
        with_path = (*path, "with")
        self._arguments.check(tool, entry.fixed, with_path, holder=path, may_lack=None)
        self._check_types(tool, entry.fixed, with_path, visit.scope)
        self._connections.check_use(tool, entry.connection, path, visit.guards)
        self._check_kind(tool, path if is_name else (*path, "use"), is_trigger=False)
        declared = parameters(tool.params)
        for number, name in enumerate(entry.model_may_choose):
            if name not in declared:
                at = (*path, "model_may_choose", number)
                hint = did_you_mean_or(name, declared, what=f"`{tool.name}` takes")
                self._findings.error(at, f"`{tool.name}` has no argument `{name}`", hint)
        for name in sorted(tool.destinations):
            if declared[name] and name not in {*entry.fixed, *entry.model_may_choose}:
                message = f"`{name}` of `{tool.name}` decides where data goes, and nobody gives it"
                hint = f"Give it in `with`, or let the model: `model_may_choose: [{name}]`."
                self._findings.error(path, message, hint)

    def _check_child(self, node: ChildNode, path: Path) -> None:
        if node.template == self._template.name:
            message = "a template may not run itself"
            self._findings.error((*path, "use"), message, "Use a loop.")
        try:
            parse_range(node.version_range or "")
        except WrongVersion as error:
            self._findings.error((*path, "use"), str(error))
        for theirs, ours in node.connections.items():
            self._connections.check_name(ours, (*path, "connections", theirs))

    def _check_trigger(self, trigger: ToolTrigger, path: Path) -> None:
        tool = self._arguments.find(trigger.use, (*path, "use"))
        if tool is not None:
            with_path = (*path, "with")
            self._check_kind(tool, (*path, "use"), is_trigger=True)
            self._arguments.check(tool, trigger.arguments, with_path, holder=path)
            guards = frozenset(self._template.connections)
            self._connections.check_use(tool, trigger.connection, path, guards)

    def _check_trigger_inputs(self, names: list[str], path: Path) -> None:
        for name in names:
            if name not in self._template.inputs:
                at = (*path, "inputs", name)
                spot = self._findings.document.key_spot(at)
                hint = did_you_mean_or(name, self._template.inputs, what="Declared")
                self._findings.error(at, f"unknown input `{name}`", hint, spot=spot)
