"""A model call is an effect: its own entry in the ledger, paid once, repaired at most twice."""

from tests.agents.interpreter.doubles import Crashed, ScriptedModels, World, upstream_error
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.interpreter import Graph
from treadle.agents.ports import Failed, StepRecord, Usage
from treadle.integrations.errors import ErrorClass, ToolError

KEYWORDS = """
schemas:
  keyword_list:
    type: object
    required: [words]
    properties: {words: {type: array, items: {$ref: '#/schemas/word'}}}
  word: {type: string}
"""


def asking(world: World, *, more: str = "") -> Graph:
    """One node that asks for a list of words."""
    return compiled(
        f"""
        ask:
          use: llm
          with: {{prompt: Words?, schema: {{$ref: '#/schemas/keyword_list'}}}}
          {more}
        """,
        world,
        rest="""outputs: {words: "${{ ask.words }}"}""" + KEYWORDS,
    )


def calls(stage: Stage) -> list[StepRecord]:
    return [entry for entry in stage.journal.entries if entry.call is not None]


async def test_text_is_the_output_and_reasoning_stays_apart(stage: Stage) -> None:
    stage.models = ScriptedModels("Hello Ada.")
    graph = compiled(
        """
        ask:
          use: llm
          with: {system: Be kind., prompt: "Greet ${{ inputs.name }}.", temperature: 0.5, stop: END}
        """,
        stage.world,
        rest="""
        defaults: {model: big}
        outputs:
          text: ${{ ask }}
          why: ${{ nodes.ask.reasoning }}
          used: ${{ nodes.ask.usage.output_tokens }}
        """,
    )
    stage.inputs = {"name": "Ada"}
    assert await stage.outputs(graph) == {"text": "Hello Ada.", "why": "thought 1", "used": 5}
    (request,) = stage.models.requests
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Be kind."),
        ("user", "Greet Ada."),
    ]
    assert (request.model, request.temperature, request.stop) == ("big", 0.5, ["END"])
    ((step, text),) = stage.journal.deltas
    assert (step.path, step.node, step.item, text) == ("ask", "ask", None, "Hello Ada.")


async def test_a_schema_gives_the_parsed_value(stage: Stage) -> None:
    stage.models = ScriptedModels('```json\n{"words": ["crm"]}\n```')
    assert await stage.outputs(asking(stage.world)) == {"words": ["crm"]}
    schema = stage.models.requests[0].schema
    assert schema is not None
    assert schema["properties"]["words"]["items"] == {"$ref": "#/$defs/word"}
    assert schema["$defs"] == {"word": {"type": "string"}}


async def test_a_wrong_answer_is_repaired_and_every_call_is_counted(stage: Stage) -> None:
    stage.models = ScriptedModels("no json", '{"words": [1]}', '{"words": ["crm"]}')
    assert await stage.outputs(asking(stage.world)) == {"words": ["crm"]}
    assert [entry.call for entry in calls(stage)] == ["model.0", "model.1", "model.2"]
    last = stage.models.requests[-1].messages
    assert [message.role for message in last] == ["user", "assistant", "user", "assistant", "user"]
    assert "at words[0]: 1 is not of type 'string'" in last[-1].content
    assert stage.journal.last("ask").usage == Usage(30, 15, 6, model_calls=3, cost_usd=1.5)
    assert stage.journal.last("ask").reasoning == "thought 3"


async def test_two_repairs_at_most(stage: Stage) -> None:
    stage.models = ScriptedModels("a", "b", "c", "never asked")
    outcome = await stage.run(asking(stage.world))
    assert isinstance(outcome, Failed)
    assert (outcome.error.error_class, outcome.error.code) == ("invalid_output", "invalid_output")
    assert len(stage.models.requests) == 3
    usage = stage.journal.last("ask").usage
    assert usage is not None
    assert usage.model_calls == 3


async def test_an_answer_that_was_cut_is_said_to_be(stage: Stage) -> None:
    stage.models = ScriptedModels(*['{"words": ["cr'] * 3, finish_reason="length")
    outcome = await stage.run(asking(stage.world))
    assert isinstance(outcome, Failed)
    assert "after 2 repairs the answer was cut at its longest length" in outcome.error.message
    assert "max_tokens" in stage.models.requests[-1].messages[-1].content


async def test_a_value_that_is_whole_counts_though_its_answer_was_cut(stage: Stage) -> None:
    stage.models = ScriptedModels('{"words": ["crm"]}', finish_reason="length")
    assert await stage.outputs(asking(stage.world)) == {"words": ["crm"]}


async def test_a_number_that_was_cut_may_lack_digits(stage: Stage) -> None:
    stage.models = ScriptedModels("12", "12", "12", finish_reason="length")
    graph = compiled(
        "ask: {use: llm, with: {prompt: How many?, schema: {type: integer}}}",
        stage.world,
        rest='outputs: {many: "${{ ask }}"}',
    )
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert "was cut at its longest length" in outcome.error.message


async def test_another_attempt_after_wrong_answers_is_a_new_conversation(stage: Stage) -> None:
    stage.models = ScriptedModels("a", "b", "c", '{"words": ["crm"]}')
    graph = asking(stage.world, more="retry: {attempts: 2, on: [invalid_output]}")
    assert await stage.outputs(graph) == {"words": ["crm"]}
    assert [entry.call for entry in calls(stage)] == ["model.0", "model.1", "model.2", "model.3"]
    assert len(stage.models.requests[-1].messages) == 1


async def test_a_retry_goes_on_where_the_conversation_broke(stage: Stage) -> None:
    stage.models = ScriptedModels("no json", upstream_error(), '{"words": ["crm"]}')
    graph = asking(stage.world, more="retry: {attempts: 2}")
    assert await stage.outputs(graph) == {"words": ["crm"]}
    assert [entry.call for entry in calls(stage)] == ["model.0", "model.1"]
    record = stage.journal.last("ask")
    assert record.attempt == 2
    assert record.usage is not None
    assert record.usage.model_calls == 2


async def test_no_finished_call_is_paid_twice_wherever_the_process_dies(world: World) -> None:
    stage = Stage(world=world, models=ScriptedModels("no json", '{"words": ["crm"]}'))
    graph = asking(world)
    await stage.run(graph)
    for moment in range(1, stage.journal.moments + 1):
        models = ScriptedModels("no json", '{"words": ["crm"]}', "spare", "spare")
        stage = Stage(world=world, models=models)
        stage.restart(crash_at=moment)
        try:
            await stage.run(graph)
        except Crashed:
            committed = [e.call for e in stage.journal.committed if e.call]
            stage.models = ScriptedModels(*["no json", '{"words": ["crm"]}'][len(committed) :])
            stage.restart()
            assert await stage.outputs(graph) == {"words": ["crm"]}
            used = stage.journal.last("ask").usage
            assert used is not None
            assert used.model_calls == 2
        else:
            raise AssertionError(f"nothing happened at moment {moment}")


async def test_without_an_endpoint_on_error_applies(stage: Stage) -> None:
    missing = ToolError(
        "no model endpoint is configured; set TREADLE_MODEL_URL",
        error_class=ErrorClass.UPSTREAM,
        code="no_model_endpoint",
    )
    stage.models = ScriptedModels(missing)
    graph = asking(stage.world, more='on_error: {value: {words: ["${{ error.code }}"]}}')
    assert await stage.outputs(graph) == {"words": ["no_model_endpoint"]}
    assert stage.journal.last("ask").status == "recovered"


async def test_wrong_options_name_the_field(stage: Stage) -> None:
    stage.inputs = {"heat": 9}
    graph = compiled(
        'ask: {use: llm, with: {prompt: Hi, temperature: "${{ inputs.heat }}"}}', stage.world
    )
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.message.startswith("nodes.ask: argument 'temperature' of llm is number: ")
    assert stage.models.requests == []


async def test_the_agents_model_takes_the_place_of_the_templates_default(stage: Stage) -> None:
    stage.models = ScriptedModels("a", "b")
    stage.model = "small"
    graph = compiled(
        """
        a: {use: llm, with: {prompt: Hi}}
        b: {use: llm, needs: [a], with: {prompt: Hi, model: own}}
        """,
        stage.world,
        rest="defaults: {model: big}",
    )
    await stage.run(graph)
    assert [request.model for request in stage.models.requests] == ["small", "own"]
