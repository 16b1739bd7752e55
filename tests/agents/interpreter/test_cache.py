"""`cache: 7d`: the same work is not done again, and whatever changes it is."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from tests.agents.interpreter.doubles import ScriptedModels, World, upstream_error, wants
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.interpreter import Graph
from treadle.agents.values import JsonValue


@dataclass
class MemoryCache:
    """Keeps everything, and for how long it was told to."""

    kept: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    lasts: list[timedelta] = field(default_factory=list[timedelta])

    async def get(self, key: str) -> JsonValue:
        return self.kept.get(key)

    async def put(self, key: str, value: JsonValue, *, lasts: timedelta) -> None:
        self.kept[key] = value
        self.lasts.append(lasts)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world=world, cache=MemoryCache())


def reading(world: World, name: str, *, size: int = 0, cache: str = "cache: 7d") -> Graph:
    return compiled(
        f'look: {{use: probe.read, {cache}, with: {{name: "{name}", size: {size}}}}}',
        world,
        rest='outputs: {out: "${{ look.calls }}"}',
    )


async def again(stage: Stage, graph: Graph) -> dict[str, JsonValue]:
    """A new run of the same workspace."""
    stage.journal = type(stage.journal)()
    return await stage.outputs(graph)


async def test_the_same_call_is_made_once(stage: Stage) -> None:
    graph = reading(stage.world, "a")
    assert await again(stage, graph) == {"out": 1}
    assert await again(stage, graph) == {"out": 1}
    assert stage.world.events == ["+a", "-a"]
    assert stage.journal.last("look").extra == {"cached": True}
    assert isinstance(stage.cache, MemoryCache)
    assert stage.cache.lasts == [timedelta(days=7)]


async def test_other_inputs_are_other_work(stage: Stage) -> None:
    await again(stage, reading(stage.world, "a"))
    await again(stage, reading(stage.world, "b"))
    await again(stage, reading(stage.world, "a", size=1))
    assert stage.world.events == ["+a", "-a", "+b", "-b", "+a", "-a"]


async def test_without_the_key_nothing_is_kept(stage: Stage) -> None:
    graph = reading(stage.world, "a", cache="timeout: 1m")
    await again(stage, graph)
    assert await again(stage, graph) == {"out": 2}


async def test_a_failure_is_not_kept(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error()]
    graph = compiled(
        "look: {use: probe.read, cache: 1d, with: {name: a}, on_error: {value: {calls: 0}}}",
        stage.world,
        rest='outputs: {out: "${{ look.calls }}"}',
    )
    assert await again(stage, graph) == {"out": 0}
    assert await again(stage, graph) == {"out": 2}


ASK = """
ask: {use: llm, cache: 1d, with: {prompt: "Hi ${{ inputs.name }}", temperature: 0}}
"""


async def test_a_model_is_asked_once_per_question_and_model(stage: Stage) -> None:
    stage.models = ScriptedModels("one", "two", "three")
    graph = compiled(
        ASK, stage.world, rest='outputs: {out: "${{ ask }}", why: "${{ nodes.ask.reasoning }}"}'
    )
    stage.inputs = {"name": "Ada"}
    first = await again(stage, graph)
    assert await again(stage, graph) == first == {"out": "one", "why": "thought 1"}
    usage = stage.journal.last("ask").usage
    assert usage is None
    stage.inputs = {"name": "Bob"}
    assert (await again(stage, graph))["out"] == "two"
    stage.model = "other"
    assert (await again(stage, graph))["out"] == "three"
    assert len(stage.models.requests) == 3


async def test_an_agent_is_cached_with_its_tools(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(("probe_read", '{"name": "a"}')), "one", "two")

    def agent(tools: str) -> Graph:
        return compiled(
            f"work: {{use: agent, cache: 1d, with: {{prompt: Go, tools: {tools}}}}}",
            stage.world,
            rest='outputs: {out: "${{ work.text }}"}',
        )

    assert await again(stage, agent("[probe.read]")) == {"out": "one"}
    assert await again(stage, agent("[probe.read]")) == {"out": "one"}
    assert stage.world.events == ["+a", "-a"]
    assert await again(stage, agent("[{use: probe.read, with: {size: 1}}]")) == {"out": "two"}
    assert len(stage.models.requests) == 3
