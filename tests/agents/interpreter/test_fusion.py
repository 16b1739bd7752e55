"""Which nodes share a task: never two of which one could go on without the other."""

import pytest
from tests.agents.interpreter.doubles import Crashed, MemoryJournal, World
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.interpreter import Graph
from treadle.agents.ports import FINISHED

READ = "use: probe.read, with: {name: x}"


def units(world: World, nodes: str) -> list[list[str]]:
    """The ids of each unit's nodes, in the order in which the units are called."""
    return [[node.id for node in unit.nodes] for unit in compiled(nodes, world).body.units]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param(
            f"""
            a: {{{READ}}}
            b: {{{READ}, needs: [a]}}
            c: {{{READ}, needs: [a, b]}}
            """,
            [["a", "b", "c"]],
            id="effects in a row",
        ),
        pytest.param(
            f"""
            a: {{{READ}}}
            p: {{use: set, with: {{n: "${{{{ a.name }}}}"}}}}
            b: {{{READ}, needs: [p]}}
            """,
            [["a", "p", "b"]],
            id="pure nodes between them",
        ),
        pytest.param(
            f"""
            a: {{{READ}}}
            b: {{{READ}, needs: [a]}}
            c: {{{READ}, needs: [a]}}
            d: {{{READ}, needs: [b, c]}}
            """,
            [["a"], ["b"], ["c"], ["d"]],
            id="a fork and its join",
        ),
        pytest.param(
            f"""
            a: {{{READ}}}
            b: {{{READ}, needs: [a]}}
            c: {{{READ}}}
            d: {{{READ}, needs: [c]}}
            end: {{use: set, with: "${{{{ [b.name, d.name] }}}}"}}
            """,
            [["a", "b"], ["c", "d"], ["end"]],
            id="two rows that meet",
        ),
        pytest.param(
            f"""
            a: {{{READ}}}
            ask: {{use: approval, needs: [a], with: {{title: Go on}}}}
            b: {{{READ}, needs: [ask]}}
            """,
            [["a"], ["ask"], ["b"]],
            id="a wait keeps its task",
        ),
    ],
)
def test_only_what_waits_for_each_other_anyway_shares_a_task(
    stage: Stage, nodes: str, expected: list[list[str]]
) -> None:
    assert sorted(units(stage.world, nodes)) == sorted(expected)


async def test_a_row_killed_at_any_moment_repeats_no_more_than_what_was_under_way() -> None:
    row = """
    a: {use: probe.read, with: {name: a}}
    b: {use: probe.read, needs: [a], with: {name: b}}
    c: {use: probe.read, needs: [b], with: {name: c}}
    """
    whole = Stage()
    graph = compiled(row, whole.world)
    assert len(graph.body.units) == 1
    await whole.run(graph)
    for moment in range(1, whole.journal.moments):
        stage = Stage(journal=MemoryJournal(crash_at=moment))
        graph = compiled(row, stage.world)
        with pytest.raises(Crashed):
            await stage.run(graph)
        finished = {entry.path for entry in stage.journal.committed if entry.status in FINISHED}
        stage.restart()
        before = {name: len(keys) for name, keys in stage.world.keys.items()}
        assert set(await _statuses(stage, graph)) == {"a", "b", "c"}
        again = {name for name, keys in stage.world.keys.items() if len(keys) > before.get(name, 0)}
        assert again == {"a", "b", "c"} - finished


async def _statuses(stage: Stage, graph: Graph) -> dict[str, str]:
    await stage.run(graph)
    return stage.journal.statuses()
