"""What an llm asks: messages, images, where its prefix stays the same, which model falls in."""

from dataclasses import dataclass, field

import pytest
from tests.agents.interpreter.doubles import PlainContext, ScriptedModels, World
from tests.agents.interpreter.stage import FACTS, Stage, compiled
from tests.doubles.model_server import ModelServer, Refuses, says
from typing_extensions import override

from treadle.agents.interpreter import Gate
from treadle.agents.interpreter.execution import execute
from treadle.agents.ports import Failed, Outcome, Ports, Succeeded
from treadle.integrations.base import Connection, ToolContext
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ModelClient
from treadle.integrations.models.client import OpenAIModelClient
from treadle.integrations.models.endpoints import Endpoint, EndpointTable

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class FileContext(PlainContext):
    """A context with uploaded files."""

    stored: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    @override
    def files(self) -> "FileContext":  # pyright: ignore[reportIncompatibleMethodOverride] # it is one
        return self

    async def read(self, file_id: str) -> tuple[str, bytes]:
        if file_id not in self.stored:
            raise ToolError(
                f"no file {file_id!r}", error_class=ErrorClass.INVALID_INPUT, code="file_not_found"
            )
        return file_id, self.stored[file_id]


@dataclass
class FileTools:
    """Opens contexts that read uploads."""

    models: ModelClient

    def context(
        self, *, step_path: str, idempotency_key: str, connection: str | None
    ) -> ToolContext:
        stored = {"photo": PNG, "letter": b"Dear Ada"}
        return FileContext(idempotency_key, self.models, step_path, stored=stored)

    def connection(self, name: str) -> Connection | None:
        return None


async def ask(stage: Stage, config: str, models: ModelClient | None = None) -> Outcome:
    graph = compiled(
        f"ask: {{use: llm, with: {config}}}", stage.world, rest='outputs: {out: "${{ ask }}"}'
    )
    asked = models or stage.models
    ports = Ports(journal=stage.journal, tools=FileTools(asked), models=asked, clock=stage.clock)
    return await execute(
        graph, FACTS, inputs=stage.inputs, connections={}, ports=ports, gate=Gate()
    )


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world=world, models=ScriptedModels("ok"), inputs={"photo": "photo", "topic": "x"})


async def test_messages_may_have_parts_with_expressions(stage: Stage) -> None:
    config = """{system: S, messages: [
        {role: user, content: "About ${{ inputs.topic }}"},
        {role: assistant, content: Yes.},
        {role: user, content: [{type: text, text: "See ${{ inputs.topic }}"},
          {type: image_url, image_url: {url: "https://a.example/1.png"}}]}]}"""
    assert await ask(stage, config) == Succeeded({"out": "ok"})
    messages = stage.models.requests[0].messages
    assert [(m.role, m.content) for m in messages] == [
        ("system", "S"), ("user", "About x"), ("assistant", "Yes."), ("user", "See x"),
    ]  # fmt: skip
    assert messages[-1].images == ["https://a.example/1.png"]


async def test_other_lists_are_json(stage: Stage) -> None:
    await ask(stage, "{prompt: [1, {a: b}]}")
    assert stage.models.requests[0].messages[0].content == '[1,{"a":"b"}]'


async def test_an_uploaded_image_goes_as_its_content(stage: Stage) -> None:
    config = '{prompt: See, images: ["${{ inputs.photo }}", "https://a.example/2.png"]}'
    await ask(stage, config)
    assert stage.models.requests[0].messages[0].images == [
        "data:image/png;base64,iVBORw0KGgo=", "https://a.example/2.png",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "code"), [("letter", "not_an_image"), ("x", "file_not_found")])
async def test_what_is_no_image_is_refused(stage: Stage, name: str, code: str) -> None:
    outcome = await ask(stage, f"{{prompt: See, images: [{name}]}}")
    assert isinstance(outcome, Failed)
    assert (outcome.error.error_class, outcome.error.code) == ("invalid_input", code)
    assert stage.models.requests == []


async def test_the_cache_key_is_the_nodes_own_and_stays(stage: Stage) -> None:
    stage.models = ScriptedModels("a", "b", "c")
    await ask(stage, "{prompt: One}")
    stage.journal = type(stage.journal)()
    await ask(stage, "{prompt: Two}")
    first, second = stage.models.requests
    assert first.cache_key == second.cache_key
    assert first.cache_key is not None


async def test_a_fallback_answers_and_is_named_in_the_ledger(stage: Stage) -> None:
    with ModelServer(Refuses(503)) as down, ModelServer(says("From the other.")) as other:
        endpoints = {
            "main": Endpoint(url=down.url, fallback="spare"),
            "spare": Endpoint(url=other.url),
        }
        client = OpenAIModelClient(EndpointTable(endpoints))
        outcome = await ask(stage, "{prompt: Hi, model: main}", client)
        await client.aclose()
    assert outcome == Succeeded({"out": "From the other."})
    entry = next(entry for entry in stage.journal.entries if entry.call == "model.0")
    assert entry.extra["endpoint"] == "spare"
    assert "".join(text for _, text in stage.journal.deltas) == "From the other."


@pytest.mark.parametrize("thinking", ["on", "off", "auto"])
async def test_thinking_is_passed_on(stage: Stage, thinking: str) -> None:
    await ask(stage, f'{{prompt: Hi, thinking: "{thinking}"}}')
    assert stage.models.requests[0].thinking == thinking
