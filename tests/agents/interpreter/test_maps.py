"""A map runs its nodes once per item: in order, bounded, each item failing for itself."""

import asyncio

import pytest
from tests.agents.interpreter.doubles import World, upstream_error
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.interpreter import Graph
from treadle.agents.ports import Failed
from treadle.agents.values import JsonValue

OUTPUTS = """outputs: {all: "${{ each }}"}"""


def mapped(world: World, *, keys: str = "", call: str = "probe.read") -> Graph:
    """`each` calls the world once per name in `inputs.names`."""
    return compiled(
        f"""
        each:
          use: map
          over: ${{{{ inputs.names }}}}
          as: name
          {keys}
          nodes:
            hit: {{use: {call}, with: {{name: "${{{{ name }}}}"}}}}
          output: ${{{{ hit.name ~ loop.index }}}}
        """,
        world,
        rest=OUTPUTS,
    )


def names(count: int) -> dict[str, JsonValue]:
    return {"names": [f"n{i}" for i in range(count)]}


async def test_outputs_stand_in_the_order_of_the_list(stage: Stage) -> None:
    stage.inputs = names(5)
    stage.world.hold("n0")
    running = asyncio.create_task(stage.outputs(mapped(stage.world)))
    await stage.world.arrival("n4")
    stage.world.release("n0")
    assert (await running)["all"] == ["n00", "n11", "n22", "n33", "n44"]
    assert stage.world.events[-1] == "-n0"


async def test_steps_of_an_item_have_its_path_and_index(stage: Stage) -> None:
    stage.inputs = names(3)
    await stage.outputs(mapped(stage.world))
    record = stage.journal.last("each[2].hit")
    assert (record.node, record.item, record.status) == ("each.hit", 2, "succeeded")
    assert stage.journal.last("each").item is None


@pytest.mark.parametrize(("keys", "most"), [("", 8), ("concurrency: 3", 3)])
async def test_no_more_items_work_at_once_than_allowed(stage: Stage, keys: str, most: int) -> None:
    stage.inputs = names(20)
    await stage.outputs(mapped(stage.world, keys=keys))
    assert stage.world.most_at_once == most


async def test_an_empty_list_gives_an_empty_list(stage: Stage) -> None:
    stage.inputs = names(0)
    assert await stage.outputs(mapped(stage.world)) == {"all": []}


@pytest.mark.parametrize(
    ("policy", "expected"), [("skip", ["n00", "n22"]), ("null", ["n00", None, "n22"])]
)
async def test_failed_items_are_left_out_or_null(
    stage: Stage, policy: str, expected: list[str | None]
) -> None:
    stage.inputs = names(3)
    stage.world.breaks["n1"] = [upstream_error()]
    graph = mapped(stage.world, keys=f"on_item_error: {policy}")
    assert (await stage.outputs(graph))["all"] == expected
    assert stage.journal.statuses()["each[1].hit"] == "failed"
    assert stage.journal.statuses()["each"] == "succeeded"


async def test_one_failed_item_fails_the_map_by_default(stage: Stage) -> None:
    """What runs beside it finishes and keeps its result; what has not begun does not begin."""
    stage.inputs = names(5)
    stage.world.breaks["n1"] = [upstream_error()]
    stage.world.hold("n0")
    running = asyncio.create_task(stage.run(mapped(stage.world, keys="concurrency: 2")))
    await stage.journal.reached("each[1].hit", "failed")
    stage.world.release("n0")
    outcome = await running
    assert isinstance(outcome, Failed)
    assert (outcome.error.node, outcome.error.path) == ("each.hit", "each[1].hit")
    assert stage.journal.statuses()["each[0].hit"] == "succeeded"
    assert stage.journal.statuses()["each"] == "failed"
    assert "+n4" not in stage.world.events


@pytest.mark.parametrize(("broken", "fails"), [(1, False), (2, True)])
async def test_a_map_tolerates_its_share_of_failed_items(
    stage: Stage, broken: int, fails: bool
) -> None:
    stage.inputs = names(10)
    for index in range(broken):
        stage.world.breaks[f"n{index}"] = [upstream_error()]
    graph = mapped(stage.world, keys="tolerate: 15%\n          on_item_error: skip")
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed) is fails
    if isinstance(outcome, Failed):
        assert outcome.error.code == "too_many_items_failed"
        assert "more than the tolerated 15%" in outcome.error.message


async def test_a_recovered_map_has_the_value_of_its_on_error(stage: Stage) -> None:
    stage.inputs = names(2)
    stage.world.breaks["n0"] = [upstream_error()]
    graph = mapped(stage.world, keys='on_error: {value: ["${{ error.path }}"]}')
    assert (await stage.outputs(graph))["all"] == ["each[0].hit"]
    assert stage.journal.statuses()["each"] == "recovered"


async def test_over_must_be_a_list(stage: Stage) -> None:
    stage.inputs = {"names": {"a": 1}}
    outcome = await stage.run(mapped(stage.world))
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "nodes.each.over: expected a list, found object"


async def test_maps_nest_and_their_items_have_every_index(stage: Stage) -> None:
    graph = compiled(
        """
        rows:
          use: map
          over: ${{ [[1, 2], [3]] }}
          as: row
          nodes:
            base: {use: set, with: "${{ loop.index }}"}
            cells:
              use: map
              over: ${{ row }}
              as: cell
              nodes:
                hit: {use: probe.read, with: {name: "${{ base }}-${{ cell }}"}}
              output: ${{ hit.name }}
          output: ${{ cells }}
        """,
        stage.world,
        rest='outputs: {rows: "${{ rows }}"}',
    )
    assert await stage.outputs(graph) == {"rows": [["0-1", "0-2"], ["1-3"]]}
    record = stage.journal.last("rows[0].cells[1].hit")
    assert (record.node, record.item) == ("rows.cells.hit", (0, 1))
    assert stage.journal.last("rows[1].base").item == 1


async def test_a_wrong_output_fails_its_item_only(stage: Stage) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: [{x: 1}, {}]
          on_item_error: skip
          output: ${{ item.x }}
        """,
        stage.world,
        rest=OUTPUTS,
    )
    assert await stage.outputs(graph) == {"all": [1]}


async def test_pure_maps_run_without_waiting(stage: Stage) -> None:
    graph = compiled(
        """
        each:
          use: map
          over: [1, 2, 3]
          nodes: {double: {use: set, with: "${{ item * 2 }}"}}
          output: ${{ double }}
        """,
        stage.world,
        rest=OUTPUTS,
    )
    assert graph.is_pure
    assert await stage.outputs(graph) == {"all": [2, 4, 6]}
    assert stage.journal.waits == 0


@pytest.mark.slow
async def test_two_thousand_items_cost_what_two_thousand_items_cost(stage: Stage) -> None:
    stage.inputs = names(2000)
    graph = mapped(stage.world, keys="concurrency: 64")
    outputs = (await stage.outputs(graph))["all"]
    assert isinstance(outputs, list)
    assert outputs[1999] == "n19991999"
    assert stage.journal.waits == 2000


async def test_the_next_chunk_does_not_wait_for_the_slowest_item_of_the_last(stage: Stage) -> None:
    stage.inputs = names(300)
    stage.world.hold("n0")
    running = asyncio.create_task(stage.outputs(mapped(stage.world)))
    await stage.world.arrival("n299")
    stage.world.release("n0")
    outputs = (await running)["all"]
    assert isinstance(outputs, list)
    assert outputs[0] == "n00"
