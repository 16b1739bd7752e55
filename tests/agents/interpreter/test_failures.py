"""What a failure stops, what it leaves alone, and what takes its place."""

import asyncio

from tests.agents.interpreter.doubles import upstream_error
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.ports import Failed, Succeeded


async def test_running_siblings_finish_and_what_depends_stays_pending(stage: Stage) -> None:
    graph = compiled(
        """
        bad: {use: probe.read, with: {name: bad}}
        good: {use: probe.read, with: {name: good}}
        after_bad: {use: set, with: "${{ bad }}"}
        after_good: {use: set, with: "${{ good }}"}
        """,
        stage.world,
    )
    stage.world.breaks["bad"] = [upstream_error()]
    stage.world.hold("good")
    running = asyncio.create_task(stage.run(graph))
    await stage.journal.reached("bad", "failed")
    stage.world.release("good")
    outcome = await running
    assert isinstance(outcome, Failed)
    assert outcome.error.node == "bad"
    assert outcome.error.code == "http_503"
    assert stage.journal.statuses() == {"bad": "failed", "good": "succeeded"}


async def test_the_first_error_is_the_runs_error(stage: Stage) -> None:
    graph = compiled(
        """
        one: {use: probe.read, with: {name: one}}
        two: {use: probe.read, with: {name: two}}
        """,
        stage.world,
    )
    stage.world.breaks = {"one": [upstream_error()], "two": [upstream_error()]}
    stage.world.hold("one")
    running = asyncio.create_task(stage.run(graph))
    await stage.journal.reached("two", "failed")
    stage.world.release("one")
    outcome = await running
    assert isinstance(outcome, Failed)
    assert outcome.error.node == "two"


async def test_on_error_makes_the_step_recovered(stage: Stage) -> None:
    graph = compiled(
        """
        bad:
          use: probe.read
          with: {name: bad}
          on_error: {value: {name: "${{ error.class }} at ${{ error.path }}"}}
        """,
        stage.world,
        rest='outputs: {is: "${{ bad.name }}", code: "${{ nodes.bad.error.code }}"}',
    )
    stage.world.breaks["bad"] = [upstream_error()]
    assert await stage.outputs(graph) == {"is": "upstream at bad", "code": "http_503"}
    record = stage.journal.last("bad")
    assert (record.status, record.error is not None) == ("recovered", True)


async def test_a_wrong_on_error_fails_with_its_own_error(stage: Stage) -> None:
    graph = compiled(
        'bad: {use: probe.read, with: {name: bad}, on_error: {value: "${{ error.nothing }}"}}',
        stage.world,
    )
    stage.world.breaks["bad"] = [upstream_error()]
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "expression_error"
    assert outcome.error.message.startswith("nodes.bad.on_error.value: ")


async def test_a_pure_node_can_recover_too(stage: Stage) -> None:
    graph = compiled(
        'a: {use: set, with: "${{ inputs.gone }}", on_error: {value: 7}}',
        stage.world,
        rest='outputs: {a: "${{ a }}", status: "${{ nodes.a.status }}"}',
    )
    assert await stage.outputs(graph) == {"a": 7, "status": "recovered"}


async def test_a_skipped_step_has_null_or_its_else_and_a_skip_does_not_cascade(
    stage: Stage,
) -> None:
    graph = compiled(
        """
        plain: {use: probe.read, when: inputs.go, with: {name: plain}}
        other: {use: probe.read, when: inputs.go, else: {name: instead}, with: {name: other}}
        reader: {use: probe.read, with: {name: "${{ other.name }}"}}
        """,
        stage.world,
        rest='outputs: {plain: "${{ plain }}", reader: "${{ reader.name }}"}',
    )
    stage.inputs = {"go": False}
    assert await stage.outputs(graph) == {"plain": None, "reader": "instead"}
    assert stage.journal.statuses() == {
        "plain": "skipped",
        "other": "skipped",
        "reader": "succeeded",
    }
    assert stage.world.events == ["+instead", "-instead"]


async def test_when_is_evaluated_after_all_references_are_done(stage: Stage) -> None:
    graph = compiled(
        """
        a: {use: probe.read, with: {name: a}}
        b: {use: probe.read, when: nodes.a.status == 'succeeded', with: {name: b}}
        """,
        stage.world,
    )
    await stage.run(graph)
    assert stage.journal.statuses() == {"a": "succeeded", "b": "succeeded"}


async def test_a_bound_connection_can_be_asked_for(stage: Stage) -> None:
    graph = compiled(
        "a: {use: set, when: connections.google, with: 1}",
        stage.world,
        rest="connections: {google: {type: google, optional: true}}",
    )
    stage.connections = {"google": False}
    await stage.run(graph)
    assert stage.journal.statuses() == {"a": "skipped"}


async def test_on_failure_runs_once_with_the_error_and_changes_nothing(stage: Stage) -> None:
    graph = compiled(
        "bad: {use: probe.read, with: {name: bad}}",
        stage.world,
        rest="""
        on_failure:
          nodes:
            tell: {use: probe.send, with: {name: "${{ error.node }} ${{ error.code }}"}}
            fails: {use: set, needs: [tell], with: "${{ error.nothing }}"}
        """,
    )
    stage.world.breaks["bad"] = [upstream_error()]
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.node == "bad"
    assert stage.journal.statuses() == {
        "bad": "failed",
        "on_failure.tell": "succeeded",
        "on_failure.fails": "failed",
    }
    assert stage.world.effects("bad http_503") == 1
    stage.restart()
    assert await stage.run(graph) == outcome
    assert stage.world.events.count("+bad http_503") == 1


async def test_a_wrong_output_fails_the_run_by_name(stage: Stage) -> None:
    graph = compiled("a: {use: set, with: {x: 1}}", stage.world, rest='outputs: {y: "${{ a.y }}"}')
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.path == "outputs.y"


async def test_a_tool_that_crashes_fails_its_step_as_internal(stage: Stage) -> None:
    graph = compiled("a: {use: probe.read, with: {name: a}}", stage.world)
    stage.world.breaks["a"] = [ZeroDivisionError("division by zero")]
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert (outcome.error.error_class, outcome.error.code) == ("internal", "tool_crashed")
    assert "probe.read crashed: ZeroDivisionError: division by zero" in outcome.error.message


async def test_a_failed_run_resumed_repeats_nothing(stage: Stage) -> None:
    graph = compiled(
        """
        good: {use: probe.read, with: {name: good}}
        bad: {use: probe.read, needs: [good], with: {name: bad}}
        """,
        stage.world,
    )
    stage.world.breaks["bad"] = [upstream_error()]
    first = await stage.run(graph)
    events = list(stage.world.events)
    stage.restart()
    assert await stage.run(graph) == first
    assert stage.world.events == events


async def test_switch_runs_only_the_first_case_that_holds(stage: Stage) -> None:
    graph = compiled(
        """
        pick:
          use: switch
          cases:
            - when: inputs.n > 10
              nodes: {big: {use: probe.read, with: {name: big}}}
              output: ${{ big.name }}
            - when: inputs.n > 5
              nodes: {medium: {use: probe.read, with: {name: medium}}}
              output: ${{ medium.name }}
            - else: true
              output: small
        """,
        stage.world,
        rest='outputs: {pick: "${{ pick }}"}',
    )
    stage.inputs = {"n": 7}
    assert await stage.outputs(graph) == {"pick": "medium"}
    assert stage.journal.statuses() == {"pick": "succeeded", "pick.medium": "succeeded"}


async def test_loop_passes_its_state_on_until_it_holds(stage: Stage) -> None:
    graph = compiled(
        """
        refine:
          use: loop
          max: 5
          state: {word: a}
          nodes: {say: {use: probe.send, with: {name: "${{ state.word }}"}}}
          until: loop.index == 2
          next: {word: "${{ say.name }}a"}
          output: ${{ say.name }}
        """,
        stage.world,
        rest='outputs: {word: "${{ refine }}"}',
    )
    assert await stage.outputs(graph) == {"word": "aaa"}
    assert "refine[2].say" in stage.journal.statuses()
    assert "refine[3].say" not in stage.journal.statuses()
    assert stage.journal.last("refine[2].say").item is None


async def test_loop_at_its_cap_ends_or_fails(stage: Stage) -> None:
    def looped(on_max: str) -> str:
        return f"again: {{use: loop, max: 2, until: 'false', output: x, on_max: {on_max}}}"

    assert isinstance(await stage.run(compiled(looped("end"), stage.world)), Succeeded)
    stage.journal.committed.clear()
    outcome = await stage.run(compiled(looped("fail"), stage.world))
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "loop_max"
