"""What works in place of nodes in a test: mocks, and refusals of what only a mock can answer.

A mocked node still evaluates what it would pass on, so that a wrong expression shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from treadle.agents.language.document import dotted
from treadle.agents.language.model import Template, TemplateTest
from treadle.agents.language.walk import expressions
from treadle.agents.nodes.fields import Value
from treadle.agents.nodes.outside import reaches_outside
from treadle.agents.nodes.set import SetNode
from treadle.agents.nodes.union import Node
from treadle.agents.steps.graph import EffectWork, PureWork, Work
from treadle.agents.steps.turn import Turn
from treadle.agents.testing.errors import MockMissing
from treadle.agents.testing.mocks import Mock
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool

_FAILURE = "on_failure."


@dataclass(frozen=True, slots=True)
class StandIns:
    """Chooses the work of every node of a template in one test; see `compile_graph`."""

    template: Template
    test: TemplateTest
    tools: Mapping[str, AnyTool]

    def __call__(self, node: Node, path: str) -> Work | None:
        """The mock of a node, a refusal, or `None` for what runs for real."""
        name = node_path(path)
        mock = self._mock(name)
        if mock is None:
            return UnmockedWork(name, node.use) if reaches_outside(node, self.tools) else None
        arguments = passed_on(node)
        if isinstance(node, SetNode):
            return MockedPureWork(mock, arguments)
        return MockedWork(mock, arguments)

    def _mock(self, name: str) -> Mock | None:
        for key in (name, name.removeprefix(_FAILURE)):
            if key in self.test.mock:
                return Mock(name, self.test.mock[key], self.template.fixtures)
        return None


@dataclass(frozen=True, slots=True)
class MockedWork(EffectWork):
    """Gives the mock; retries, `on_error` and the rest stay the node's own."""

    mock: Mock
    passed_on: tuple[tuple[str, Value], ...]

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        return _answer(self.mock, self.passed_on, turn)


@dataclass(frozen=True, slots=True)
class MockedPureWork(PureWork):
    """The same for a node that computes."""

    mock: Mock
    passed_on: tuple[tuple[str, Value], ...]

    @override
    def evaluate(self, turn: Turn) -> JsonValue:
        return _answer(self.mock, self.passed_on, turn)


@dataclass(frozen=True, slots=True)
class UnmockedWork(EffectWork):
    """Ends the test: nothing outside is reached."""

    node: str
    use: str

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        raise MockMissing(self.node, self.use)


def node_path(template_path: str) -> str:
    """A node's path without the language's words: `nodes.serp.nodes.hits` is `serp.hits`."""
    parts = template_path.split(".")
    return ".".join(part for part in parts if part != "nodes" and "[" not in part)


def _answer(mock: Mock, passed_on: tuple[tuple[str, Value], ...], turn: Turn) -> JsonValue:
    for field, value in passed_on:
        turn.evaluate(value, field)
    return mock.answer(turn.path)


def passed_on(node: Node) -> tuple[tuple[str, Value], ...]:
    """The fields under `with`; a mocked container has none."""
    return tuple(
        (dotted(path), value)
        for path, value in expressions(node)
        if path[0] == "with" and isinstance(value, Value)
    )
