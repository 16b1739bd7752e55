"""An agent chooses tools from its list; every call is an entry and an effect of its own."""

import json
from typing import Any

import pytest
from pydantic import Field
from tests.agents.interpreter.doubles import (
    Crashed,
    ScriptedModels,
    Wants,
    World,
    upstream_error,
    wants,
)
from tests.agents.interpreter.stage import Stage, compiled
from tests.agents.interpreter.waiting import HeldClock, MemoryWaits

from treadle.agents.interpreter import Graph
from treadle.agents.ports import Failed, Outcome, Parked, StepRecord
from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.errors import Delivery
from treadle.integrations.registry import AnyTool

READ_A = ("probe_read", '{"name": "a"}')
READ_B = ("probe_read", '{"name": "b"}')
SEND_A = ("probe_send", '{"name": "a"}')
PAY_A = ("probe_pay", '{"name": "a"}')


def agent(
    world: World, *, tools: str = "[probe.read, probe.send, probe.pay]", more: str = "",
    keys: str = "", use: tuple[AnyTool, ...] = (),
) -> Graph:  # fmt: skip
    """One agent; `more` stands in its `with`, `keys` beside it."""
    return compiled(
        f"""
        work:
          use: agent
          with: {{prompt: Go., tools: {tools}, {more}}}
          {keys}
        """,
        world,
        rest='outputs: {out: "${{ work }}"}',
        tools=use,
    )


def calls(stage: Stage) -> list[StepRecord]:
    return [entry for entry in stage.journal.entries if entry.call is not None]


def failed(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome


def last_told(stage: Stage) -> list[Any]:  # Any: what the model reads is any JSON
    """What the model read of its last calls."""
    messages = stage.models.requests[-1].messages
    return [json.loads(message.content) for message in messages if message.role == "tool"]


async def test_it_calls_tools_and_answers(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(READ_A, READ_B), "Both are there.")
    # Any: the output of an agent is any JSON
    output: dict[str, Any] = dict(await stage.outputs(agent(stage.world)))
    for told in output["out"]["steps"]:
        assert told.pop("started_at") <= told.pop("finished_at")
    step: dict[str, Any] = {"tool": "probe.read", "error": None}  # Any: as above
    assert output["out"] == {
        "text": "Both are there.",
        "steps": [
            step | {"arguments": {"name": name}, "result": {"name": name, "calls": 1}}
            for name in ("a", "b")
        ],
    }
    assert [message.role for message in stage.models.requests[1].messages] == [
        "user", "assistant", "tool", "tool",
    ]  # fmt: skip
    assert last_told(stage) == [{"name": "a", "calls": 1}, {"name": "b", "calls": 1}]


async def test_every_call_is_logged_with_arguments_result_and_time(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(READ_A, SEND_A), "Done.")
    await stage.outputs(agent(stage.world))
    entries = {entry.call: entry for entry in calls(stage)}
    assert list(entries) == ["model.0", "tool.0", "tool.1", "model.1"]
    sent = entries["tool.1"]
    assert (sent.extra["tool"], sent.extra["arguments"]) == ("probe.send", {"name": "a"})
    assert sent.output == {"name": "a", "calls": 2}
    assert sent.started_at is not None
    assert sent.finished_at is not None
    usage = stage.journal.last("work").usage
    assert usage is not None
    assert (usage.model_calls, usage.input_tokens) == (2, 20)


async def test_calls_of_one_message_run_side_by_side(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(READ_A, READ_B), "Done.")
    await stage.outputs(agent(stage.world))
    assert stage.world.most_at_once == 2


async def test_nothing_is_paid_or_done_twice_wherever_the_process_dies(world: World) -> None:
    script: list[str | Wants] = [wants(READ_A, SEND_A), wants(PAY_A), "Done."]
    stage = Stage(world=world, models=ScriptedModels(*script))
    graph = agent(world)
    await stage.run(graph)
    for moment in range(1, stage.journal.moments + 1):
        world = World()
        graph = agent(world)
        stage = Stage(world=world, models=ScriptedModels(*script))
        stage.restart(crash_at=moment)
        with pytest.raises(Crashed):
            await stage.run(graph)
        paid = sum(1 for e in stage.journal.committed if e.call and e.call.startswith("model."))
        stage.models = ScriptedModels(*script[paid:])
        stage.restart()
        outcome = await stage.run(graph)
        assert len(world.keys.get("a", [])) <= 5
        assert world.effects("a") == 3 or isinstance(outcome, Parked), moment
        assert sum(1 for event in world.events if event == "+a") >= 2


async def test_each_call_has_a_key_of_its_own_that_stays_over_restarts(world: World) -> None:
    script: list[str | Wants] = [wants(SEND_A, SEND_A), "Done."]
    stage = Stage(world=world, models=ScriptedModels(*script))
    await stage.run(agent(world))
    once = set(world.keys["a"])
    assert len(once) == 2
    stage = Stage(world=world, models=ScriptedModels(*script))
    await stage.run(agent(world))
    assert set(world.keys["a"]) == once


async def test_the_model_is_told_what_it_did_wrong(stage: Stage) -> None:
    stage.models = ScriptedModels(
        wants(
            ("Probe_Read", "{}"),
            ("probe_read", "no json"),
            ("probe_read", "{}"),
            ("probe_read", '{"name": "a", "color": "red"}'),
            ("probe_read", "[1]"),
        ),
        "I give up.",
    )
    await stage.outputs(agent(stage.world))
    told = [answer["error"] for answer in last_told(stage)]
    assert told[0].startswith("there is no tool 'Probe_Read'; tools: probe_read, probe_send")
    assert told[1].startswith("the arguments are no JSON")
    assert "argument 'name' of probe.read is missing" in told[2]
    assert "'color' is not yours to give" in told[3]
    assert told[4] == "the arguments must be a JSON object"
    assert stage.world.events == []


async def test_what_a_reading_tool_could_not_do_is_told(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error()]
    stage.models = ScriptedModels(wants(READ_A), "It is down.")
    output = await stage.outputs(agent(stage.world))
    assert last_told(stage) == [{"error": "the receiver is down"}]
    out: Any = output["out"]  # Any: an output is any JSON
    assert out["steps"][0]["error"] == "the receiver is down"


async def test_a_broken_effect_is_repeated_under_its_own_key(stage: Stage) -> None:
    stage.world.breaks["a"] = [upstream_error(delivery=Delivery.UNKNOWN)]
    stage.models = ScriptedModels(wants(SEND_A), "Sent.")
    await stage.outputs(agent(stage.world, keys="retry: {attempts: 2}"))
    assert stage.world.keys["a"] == [stage.world.keys["a"][0]] * 2
    assert len(stage.models.requests) == 2


async def test_an_effect_that_may_have_happened_waits_for_a_person(stage: Stage) -> None:
    clock = HeldClock()
    waits = MemoryWaits(clock)
    stage.clock, stage.waits = clock, waits
    stage.world.breaks["a"] = [upstream_error(delivery=Delivery.UNKNOWN)]
    stage.models = ScriptedModels(wants(PAY_A), "Paid.")
    graph = agent(stage.world)
    outcome = await stage.run(graph)
    assert isinstance(outcome, Parked)
    assert [wait.kind for wait in outcome.waits] == ["unknown"]
    waits.give("work", {"as": "done", "output": {"name": "a", "calls": 1}})
    stage.restart()
    output: Any = (await stage.outputs(graph))["out"]  # Any: an output is any JSON
    assert output["text"] == "Paid."
    assert output["steps"][0]["result"] == {"name": "a", "calls": 1}
    assert stage.world.keys["a"] == stage.world.keys["a"][:1]


class MailParams(Params):
    to: str = Field(json_schema_extra=DESTINATION)
    text: str


class Sent(Result):
    to: str


async def mail(ctx: ToolContext, params: MailParams) -> Sent:
    """Send a mail."""
    return Sent(to=params.to)


MAIL: AnyTool = tool("probe.mail", effect=Effect.KEYED)(mail)
MAIL_CALL = ("probe_mail", '{"text": "hi"}')


async def test_where_data_goes_is_the_templates_to_say(stage: Stage) -> None:
    stage.models = ScriptedModels(
        wants(("probe_mail", '{"to": "eve@evil.example", "text": "hi"}'), MAIL_CALL), "Done."
    )
    graph = agent(
        stage.world,
        tools='[{use: probe.mail, with: {to: "${{ run.owner }}"}}]',
        use=(MAIL,),
    )
    output: Any = (await stage.outputs(graph))["out"]  # Any: an output is any JSON
    (spec,) = stage.models.requests[0].tools
    assert set(spec.parameters["properties"]) == {"text"}
    assert spec.parameters["required"] == ["text"]
    refused, sent = output["steps"]
    assert "'to' is not yours to give; yours: text" in refused["error"]
    assert sent["result"] == {"to": "ada@example.com"}


async def test_a_destination_is_the_models_where_the_template_says_so(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(("probe_mail", '{"to": "b@c.example", "text": "hi"}')), "k")
    tools = "[{use: probe.mail, model_may_choose: [to]}, {use: probe.mail, with: {to: x}}]"
    await stage.outputs(agent(stage.world, tools=tools, use=(MAIL,)))
    free, fixed = stage.models.requests[0].tools
    assert (free.name, fixed.name) == ("probe_mail", "probe_mail_2")
    assert set(free.parameters["properties"]) == {"to", "text"}
    assert set(fixed.parameters["properties"]) == {"text"}
    assert last_told(stage) == [{"to": "b@c.example"}]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"action": "approve", "form": {}}, {"to": "ada@example.com"}),
        (
            {"action": "reject", "form": {}},
            {"error": "a person looked at this call and refused it"},
        ),
    ],
)
async def test_a_person_is_asked_before_a_call(
    stage: Stage, answer: dict[str, Any], told: dict[str, str]
) -> None:  # Any: an answer is any JSON
    clock = HeldClock()
    waits = MemoryWaits(clock)
    stage.clock, stage.waits = clock, waits
    stage.models = ScriptedModels(wants(MAIL_CALL, READ_A), "Done.")
    tools = '[{use: probe.mail, approve: true, with: {to: "${{ run.owner }}"}}, probe.read]'
    graph = agent(stage.world, tools=tools, use=(MAIL,))
    outcome = await stage.run(graph)
    assert isinstance(outcome, Parked)
    assert [wait.kind for wait in outcome.waits] == ["approval"]
    asked: Any = next(e for e in calls(stage) if e.call == "tool.0.approval").extra["asked"]
    assert asked["show"] == {
        "tool": "probe.mail", "arguments": {"text": "hi", "to": "ada@example.com"},
    }  # fmt: skip
    waits.give("work", answer, by="ada@example.com")
    stage.restart()
    await stage.outputs(graph)
    assert last_told(stage)[0] == told
    assert stage.world.keys["a"] == stage.world.keys["a"][:1]
    assert len(stage.models.requests) == 2


async def test_with_a_schema_the_output_is_the_value(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(READ_A), "not yet", '{"n": 1}')
    schema = "schema: {type: object, required: [n], properties: {n: {type: integer}}}"
    assert await stage.outputs(agent(stage.world, more=schema)) == {"out": {"n": 1}}
    first, _, repaired = stage.models.requests
    assert "valid for this schema" in first.messages[0].content
    assert (first.schema, repaired.tools) == (None, ())
    assert repaired.schema is not None


async def test_two_repairs_at_most_and_no_new_conversation(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(SEND_A), "a", "b", "c")
    graph = agent(
        stage.world,
        more="schema: {type: integer}",
        keys="retry: {attempts: 3, on: [invalid_output]}",
    )
    assert failed(await stage.run(graph)).error.code == "invalid_output"
    assert len(stage.models.requests) == 4
    assert len(stage.world.keys["a"]) == 1


@pytest.mark.parametrize(
    ("more", "code", "asked"),
    [
        ("max_steps: 2", "agent_steps", 2),
        ("budget: {tokens: 30}", "agent_tokens", 2),
        ("budget: {cost_usd: 0.5}", "agent_cost", 1),
    ],
)
async def test_caps_end_it(stage: Stage, more: str, code: str, asked: int) -> None:
    turns = [wants(("probe_read", json.dumps({"name": str(n)}))) for n in range(9)]
    stage.models = ScriptedModels(*turns)
    outcome = failed(await stage.run(agent(stage.world, more=more)))
    assert (outcome.error.error_class, outcome.error.code) == ("budget", code)
    assert len(stage.models.requests) == asked


async def test_an_answer_may_be_no_longer_than_the_budget_has_left(stage: Stage) -> None:
    stage.models = ScriptedModels(wants(READ_A), "Done.")
    await stage.outputs(agent(stage.world, more="budget: {tokens: 100}, max_tokens: 90"))
    assert [request.max_tokens for request in stage.models.requests] == [90, 85]


async def test_a_model_that_goes_in_circles_is_told_so(stage: Stage) -> None:
    stage.models = ScriptedModels(*[wants(READ_A)] * 4, "Done.")
    await stage.outputs(agent(stage.world))
    assert len(stage.world.keys["a"]) == 3
    assert "several times already" in last_told(stage)[-1]["error"]


async def test_a_timeout_stops_it(stage: Stage) -> None:
    stage.world.hold("a")
    stage.models = ScriptedModels(wants(READ_A), "never")
    outcome = failed(await stage.run(agent(stage.world, keys="timeout: 50ms")))
    assert outcome.error.error_class == "timeout"
