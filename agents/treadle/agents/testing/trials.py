"""Running a template's tests, one after the other, each from nothing."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict

from treadle.agents.errors import ExpressionError
from treadle.agents.interpreter import Gate, compile_graph
from treadle.agents.interpreter.execution import execute
from treadle.agents.language import Template, validate_inputs
from treadle.agents.language.model import TemplateTest
from treadle.agents.ports import Failed, Outcome, Parked, Ports, RunFacts, Succeeded
from treadle.agents.steps.frame import error_as_json, usage_as_json
from treadle.agents.testing.errors import TestBroken
from treadle.agents.testing.explanations import explain
from treadle.agents.testing.reports import Problem, Report, Verdict
from treadle.agents.testing.stand_ins import StandIns
from treadle.agents.testing.surroundings import (
    Artifacts,
    IsolatedTools,
    MemoryJournal,
    NoModels,
    VirtualClock,
)
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool

LONGEST_S = 60.0  # of one test, by the real clock: something waits that should not
_ID = "test"


async def run_tests(template: Template, tools: Mapping[str, AnyTool]) -> Report:
    """Run every test of a template that was checked without errors."""
    verdicts = [await _Trial(template, test, tools).verdict() for test in template.tests]
    return Report(template.name, template.version, verdicts)


class _Trial:
    """One test."""

    def __init__(
        self, template: Template, test: TemplateTest, tools: Mapping[str, AnyTool]
    ) -> None:
        self._template = template
        self._test = test
        self._tools = tools
        self._journal = MemoryJournal()
        self._clock = VirtualClock()
        self._facts = facts_of(template, self._clock)
        self._inputs: JsonObject = validate_inputs(template, test.inputs)
        self._connections = {name: name in test.connections for name in template.connections}

    async def verdict(self) -> Verdict:
        started = time.perf_counter()
        problems = await self._problems()
        seconds = time.perf_counter() - started
        steps = sum(1 for e in self._journal.entries if e.call is None and e.finished_at)
        return Verdict(self._test.name, seconds, steps, problems)

    async def _problems(self) -> list[Problem]:
        try:
            async with asyncio.timeout(LONGEST_S):
                outcome = await self._run()
        except TestBroken as broken:
            return [Problem(str(broken))]
        except TimeoutError:
            return [Problem(f"the test took longer than {LONGEST_S:g} s")]
        return [*self._unended(outcome), *self._unmet(outcome)]

    async def _run(self) -> Outcome:
        stand_ins = StandIns(self._template, self._test, self._tools)
        models = NoModels()
        ports = Ports(
            journal=self._journal,
            tools=IsolatedTools(Artifacts()),
            models=models,
            clock=self._clock,
        )
        return await execute(
            compile_graph(self._template, self._tools, stand_in=stand_ins),
            self._facts,
            inputs=self._inputs,
            connections=self._connections,
            ports=ports,
            gate=Gate(),
        )

    def _unended(self, outcome: Outcome) -> list[Problem]:
        match outcome:
            case Parked():
                where = ", ".join(f"`{wait.path}` ({wait.kind})" for wait in outcome.waits)
                return [Problem(f"the run did not end: it waits at {where}; mock these nodes")]
            case Failed() if not self._test.expect:
                return [Problem("the run failed", [_shown_error(outcome)])]
            case _:
                return []

    def _unmet(self, outcome: Outcome) -> list[Problem]:
        scope = self._scope(outcome)
        found: list[Problem] = []
        for condition in self._test.expect:
            try:
                if condition.holds(scope):
                    continue
                lines = explain(condition.source, scope)
            except ExpressionError as error:
                lines = [f"cannot be evaluated: {error.message}", *explain(condition.source, scope)]
            if isinstance(outcome, Failed):
                # Of a failed run there are no outputs: to say so beside its error misleads.
                lines = [line for line in lines if "'outputs' is null" not in line]
                lines.append(_shown_error(outcome))
            found.append(Problem(condition.source, lines))
        return found

    def _scope(self, outcome: Outcome) -> JsonObject:
        """What `expect` reads."""
        steps = {name: self._described(name) for name in self._template.nodes}
        return {
            **{name: step["output"] for name, step in steps.items()},
            "nodes": dict(steps),
            "inputs": self._inputs,
            "connections": dict(self._connections),
            "outputs": outcome.outputs if isinstance(outcome, Succeeded) else None,
            "run": {**_visible(self._facts), "status": _status(outcome)},
        }

    def _described(self, name: str) -> JsonObject:
        entry = self._journal.step(name)
        if entry is None:
            fields = ("output", "usage", "error", "reasoning")
            return {"status": "pending", **dict.fromkeys(fields), "attempts": 0}
        return {
            "status": entry.status.value,
            "output": entry.output,
            "usage": usage_as_json(entry.usage),
            "error": error_as_json(entry.error),
            "reasoning": entry.reasoning,
            "attempts": entry.attempt,
        }


def facts_of(template: Template, clock: VirtualClock) -> RunFacts:
    """What a run without a service knows of itself."""
    return RunFacts(
        id=_ID,
        root_id=_ID,
        workspace=_ID,
        name=template.name,
        version=template.version,
        owner="owner@example.com",
        trigger="test",
        started_at=clock.now(),
        url="http://127.0.0.1/runs/test",
    )


def _visible(facts: RunFacts) -> dict[str, JsonValue]:
    names = ("id", "root_id", "name", "version", "owner", "trigger", "url")
    known = asdict(facts)
    return {**{name: known[name] for name in names}, "started_at": facts.started_at.isoformat()}


def _status(outcome: Outcome) -> str:
    match outcome:
        case Succeeded():
            return "succeeded"
        case Failed():
            return "failed"
        case Parked():
            return "waiting"


def _shown_error(outcome: Failed) -> str:
    error = outcome.error
    return f"the run failed at `{error.path}`: {error.message} ({error.error_class.value})"
