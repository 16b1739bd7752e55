"""Bounds of what nodes need, from the template and what is known of its inputs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from treadle.agents.interpreter.policies import policy_of
from treadle.agents.language.graph import dependencies, topological_order
from treadle.agents.language.model import Defaults
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.durations import parse_duration
from treadle.agents.nodes.knowledge import KnowledgeNode
from treadle.agents.nodes.llm import REPAIRS, LlmNode
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.switch import Case, SwitchNode
from treadle.agents.nodes.tool import ToolNode
from treadle.agents.nodes.union import Node
from treadle.agents.nodes.wait import WaitNode
from treadle.agents.plan.knowledge import Decided, Known, decided, longest_list
from treadle.agents.plan.ranges import ANY, NOTHING, ONCE, Range
from treadle.agents.plan.tally import Tally
from treadle.agents.values import JsonValue

_Call = LlmNode | AgentNode | ToolNode | KnowledgeNode
_STEP = Tally(steps=ONCE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Walks nodes and adds up what they need."""

    defaults: Defaults

    def body(self, nodes: Mapping[str, Node], known: Known, prefix: str = "") -> Tally:
        """What one level needs, once through."""
        names: dict[str, JsonValue] = dict(known)
        upstream = dependencies(nodes)
        total, ends = Tally(), dict[str, Range]()
        for name in topological_order(upstream):
            need = self._node(nodes[name], names, f"{prefix}{name}")
            begin = NOTHING
            for other in upstream[name]:
                begin = begin.longest(ends.get(other, NOTHING))
            ends[name] = begin.plus(need.seconds)
            total = total.beside(need.lasting(ends[name]))
            value = _value(nodes[name], names)
            if value is not None:
                names[name] = value.value
        return total

    def _node(self, node: Node, known: Known, path: str) -> Tally:
        runs = None if node.when is None else decided(node.when, known)
        if runs is not None and not runs.value:
            return _STEP
        need = self._work(node, known, path)
        is_sure = node.when is None or runs is not None
        return (need if is_sure else need.maybe()).beside(_STEP)

    def _work(self, node: Node, known: Known, path: str) -> Tally:
        match node:
            case MapNode():
                return self._map(node, known, path)
            case LoopNode():
                body = self.body(node.nodes, known, f"{path}.")
                return body.repeated(Range(1, node.max)).lasting(
                    _within(node, body.seconds.times(Range(1, node.max)))
                )
            case SwitchNode():
                return self._switch(node, known, path)
            case ApprovalNode():
                longest = node.config.timeout
                return _wait(None if longest is None else longest.total_seconds(), path)
            case WaitNode():
                return _timer(node, known, path)
            case ChildNode():
                why = f"`{path}` runs {node.use}, which has a plan of its own"
                return Tally(steps=ANY, model_calls=ANY, tokens=ANY, seconds=ANY, unknowns=(why,))
            case LlmNode() | AgentNode() | ToolNode() | KnowledgeNode():
                return self._call(node, path)
            case _:
                return Tally()

    def _map(self, node: MapNode, known: Known, path: str) -> Tally:
        body = self.body(node.nodes, known, f"{path}.")
        items, unknown = _items(node, known, path)
        most = None if items.high is None else math.ceil(items.high / node.concurrency)
        rounds = Range(math.ceil(items.low / node.concurrency), most)
        need = body.repeated(items, rounds=rounds)
        return need.lasting(_within(node, need.seconds)).beside(Tally(unknowns=unknown))

    def _switch(self, node: SwitchNode, known: Known, path: str) -> Tally:
        possible: list[Case] = []
        is_sure = False
        for case in node.cases:
            holds = None if case.when is None else decided(case.when, known)
            if holds is not None and not holds.value:
                continue
            possible.append(case)
            if case.when is None or holds is not None:
                is_sure = len(possible) == 1
                break
        needs = [self.body(case.nodes, known, f"{path}.") for case in possible]
        if is_sure:
            return needs[0]
        total = Tally()
        for need in needs:  # at most their sum: the true most is that of one case
            total = total.beside(need.maybe())
        return total

    def _call(self, node: _Call, path: str) -> Tally:
        policy = policy_of(node, self.defaults)
        attempts = Range(0 if node.cache is not None else 1, policy.attempts)
        pauses = sum(
            min(policy.initial_s * 2.0**number, policy.max_s)
            for number in range(policy.attempts - 1)
        )
        longest = None if policy.timeout_s is None else policy.timeout_s * policy.attempts + pauses
        time = Tally(seconds=Range(0, longest))
        match node:
            case LlmNode() | AgentNode():
                return time.beside(_model(node, attempts, path))
            case ToolNode() | KnowledgeNode():
                return time.beside(Tally(calls={node.use: attempts}))


def _model(node: LlmNode | AgentNode, attempts: Range, path: str) -> Tally:
    repairs = 0 if node.config.output_schema is None else REPAIRS
    asked = node.config.max_steps if isinstance(node, AgentNode) else 1
    calls = Range(1, asked + repairs).times(attempts)
    unknowns: tuple[str, ...] = (f"how many tokens `{path}` reads depends on what the run finds",)
    tools: dict[str, Range] = {}
    tokens = ANY
    if isinstance(node, AgentNode):
        tools = {entry.use: ANY for entry in node.config.tools}
        if tools:
            unknowns = (*unknowns, f"which tools `{path}` calls is the model's choice")
        if node.config.budget.tokens is not None:
            tokens = Range(0, node.config.budget.tokens)
    return Tally(model_calls=calls, tokens=tokens, calls=tools, unknowns=unknowns)


def _items(node: MapNode, known: Known, path: str) -> tuple[Range, tuple[str, ...]]:
    over = decided(node.over, known)
    if over is not None and isinstance(over.value, list):
        return Range.exactly(len(over.value)), ()
    most = longest_list(node.over, known)
    if most is not None:
        return Range(0, most), ()
    return ANY, (f"how many items `{path}` has depends on what the run finds",)


def _wait(longest_s: float | None, path: str) -> Tally:
    unknowns = () if longest_s is not None else (f"how long `{path}` waits depends on somebody",)
    return Tally(seconds=Range(0, longest_s), unknowns=unknowns)


def _timer(node: WaitNode, known: Known, path: str) -> Tally:
    config = node.config
    if config.callback:
        return _wait(None if config.timeout is None else config.timeout.total_seconds(), path)
    length = None if config.duration is None else decided(config.duration, known)
    if length is None:
        return _wait(None, path)
    try:
        return Tally(seconds=Range.exactly(parse_duration(str(length.value)).total_seconds()))
    except ValueError:
        return _wait(None, path)


def _within(node: MapNode | LoopNode, seconds: Range) -> Range:
    return seconds.capped(None if node.timeout is None else node.timeout.total_seconds())


def _value(node: Node, known: Known) -> Decided | None:
    """A node's output, if the inputs decide it."""
    runs = Decided(value=True) if node.when is None else decided(node.when, known)
    if runs is None:
        return None
    if not runs.value:
        return Decided(None) if node.otherwise is None else decided(node.otherwise, known)
    return decided(node.value, known) if isinstance(node, SetNode) else None
