"""Plays a cassette: the real interpreter, virtual time, and recorded answers for the outside."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from typing_extensions import override

from treadle.agents.cassettes.cassette import Cassette, Recorded, node_of
from treadle.agents.cassettes.comparison import Play, Replay, differences, step_paths
from treadle.agents.cassettes.errors import CassetteInvalid
from treadle.agents.errors import InputsInvalid, StepFailed, TemplateInvalid
from treadle.agents.interpreter import Gate, compile_graph
from treadle.agents.interpreter.execution import execute
from treadle.agents.language import Template, declared_inputs, parse_template, validate_inputs
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.fields import Value
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.outside import reaches_outside
from treadle.agents.nodes.union import Node
from treadle.agents.ports import Ports
from treadle.agents.steps.graph import EffectWork, Work
from treadle.agents.steps.turn import Turn
from treadle.agents.testing.stand_ins import passed_on
from treadle.agents.testing.surroundings import (
    Artifacts,
    IsolatedTools,
    MemoryJournal,
    NoModels,
    VirtualClock,
)
from treadle.agents.testing.trials import LONGEST_S, facts_of
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.errors import ErrorClass
from treadle.integrations.registry import AnyTool

_ANSWERED = {"succeeded", "recovered", "failed"}


async def replay(cassette: Cassette, template: Template, tools: Mapping[str, AnyTool]) -> Replay:
    """Play a cassette with its own template and with a new version; raises `CassetteInvalid`."""
    started = time.perf_counter()
    before = await _play(cassette, _recorded_template(cassette, tools), tools, _Deck(cassette))
    after = await _play(cassette, template, tools, _Deck(cassette, before.asked))
    return Replay(
        template=template.name,
        before=cassette.version,
        after=template.version,
        paths=step_paths(before, after),
        differences=differences(before, after),
        seconds=time.perf_counter() - started,
    )


def _recorded_template(cassette: Cassette, tools: Mapping[str, AnyTool]) -> Template:
    try:
        return parse_template(cassette.text, tools=tools).template
    except TemplateInvalid as error:
        raise CassetteInvalid(f"the recorded template does not lint any longer: {error}") from error


class _Deck:
    """Finds the recorded answer for a step: to the same question first, else at the same path."""

    def __init__(self, cassette: Cassette, asked: Mapping[str, JsonObject] | None = None) -> None:
        self._asked = asked or {}
        self._by_path = {step.path: step for step in cassette.steps}
        self._by_question = {
            (node_of(path), _written(question)): self._by_path[path]
            for path, question in self._asked.items()
            if path in self._by_path
        }

    def find(self, path: str, question: JsonObject) -> Recorded | None:
        """What was recorded, if anything."""
        there = self._by_path.get(path)
        if there is not None and self._asked.get(path, question) == question:
            return there
        return self._by_question.get((node_of(path), _written(question))) or there


def _written(value: JsonObject) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class _RecordedWork(EffectWork):
    """Gives what was recorded; retries are not played again, `on_error` is."""

    fields: tuple[tuple[str, Value], ...]
    constants: JsonObject
    deck: _Deck
    play: Play

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        question = dict(self.constants)
        question |= {name: turn.evaluate(value, name) for name, value in self.fields}
        self.play.asked[turn.path] = question
        found = self.deck.find(turn.path, question)
        if found is None or found.status not in _ANSWERED:
            self.play.unrecorded.add(turn.path)
            raise StepFailed(
                "the cassette has no answer for this step",
                error_class=ErrorClass.DENIED,
                code="not_recorded",
                may_repeat=False,
            )
        if found.error is not None:
            raise _recorded_failure(found.error)
        return found.output


def _recorded_failure(error: JsonObject) -> StepFailed:
    try:
        error_class = ErrorClass(str(error.get("class")))
    except ValueError:
        error_class = ErrorClass.INTERNAL
    return StepFailed(
        str(error.get("message", "")),
        error_class=error_class,
        code=str(error.get("code", "recorded")),
        may_repeat=False,
    )


@dataclass(frozen=True, slots=True)
class _Outside:
    """Puts recorded work in the place of every node that reaches outside."""

    tools: Mapping[str, AnyTool]
    deck: _Deck
    play: Play = field(default_factory=Play)

    def __call__(self, node: Node, path: str) -> Work | None:
        """See `compile_graph`."""
        if not reaches_outside(node, self.tools):
            return None
        return _RecordedWork(passed_on(node), _constants(node), self.deck, self.play)


def _constants(node: Node) -> JsonObject:
    """What a model is asked beside the fields that may hold expressions."""
    if not isinstance(node, LlmNode | AgentNode):
        return {}
    tools: list[JsonValue] = (
        [tool.use for tool in node.config.tools] if isinstance(node, AgentNode) else []
    )
    return {"schema": node.config.output_schema, "tools": tools}


async def _play(
    cassette: Cassette, template: Template, tools: Mapping[str, AnyTool], deck: _Deck
) -> Play:
    outside = _Outside(tools, deck)
    play, journal, clock = outside.play, MemoryJournal(), VirtualClock()
    ports = Ports(journal=journal, tools=IsolatedTools(Artifacts()), models=NoModels(), clock=clock)
    try:
        async with asyncio.timeout(LONGEST_S):
            play.outcome = await execute(
                compile_graph(template, tools, stand_in=outside),
                facts_of(template, clock),
                inputs=_inputs(template, cassette),
                connections={name: name in cassette.connections for name in template.connections},
                ports=ports,
                gate=Gate(),
            )
    except TimeoutError:
        raise CassetteInvalid(
            f"version {template.version} took longer than {LONGEST_S:g} s"
        ) from None
    play.steps = {one.path: one for one in journal.entries if one.call is None and one.finished_at}
    return play


def _inputs(template: Template, cassette: Cassette) -> JsonObject:
    """The recorded inputs that this version still takes."""
    declared = declared_inputs(template)
    given = {name: value for name, value in cassette.inputs.items() if name in declared}
    try:
        return validate_inputs(template, given)
    except InputsInvalid as error:
        raise CassetteInvalid(
            f"the recorded inputs do not fit version {template.version}: {error}; "
            "edit `inputs` in the cassette"
        ) from error
