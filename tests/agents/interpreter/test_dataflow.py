"""References make edges, and nothing else makes anybody wait."""

import asyncio

from tests.agents.interpreter.doubles import World
from tests.agents.interpreter.stage import Stage, compiled

from treadle.agents.ports import Failed


async def test_values_flow_along_references_in_any_order_of_writing(stage: Stage) -> None:
    graph = compiled(
        """
        sum: {use: set, with: {total: "${{ a.n + b.n }}"}}
        b: {use: set, with: {n: "${{ a.n * 10 }}"}}
        a: {use: set, with: {n: 4}}
        """,
        stage.world,
        rest='outputs: {total: "${{ sum.total }}", version: "${{ run.version }}"}',
    )
    assert await stage.outputs(graph) == {"total": 44, "version": "1.0.0"}


async def test_a_tool_gets_its_arguments_and_gives_its_result(stage: Stage) -> None:
    graph = compiled(
        """
        who: {use: set, with: {name: ada}}
        send: {use: probe.send, with: {name: "${{ who.name }}"}}
        """,
        stage.world,
        rest='outputs: {sent: "${{ send }}"}',
    )
    assert await stage.outputs(graph) == {"sent": {"name": "ada", "calls": 1}}
    assert stage.journal.statuses() == {"who": "succeeded", "send": "succeeded"}


async def test_uneven_branches_never_wait_for_each_other(stage: Stage) -> None:
    """a -> b beside c -> d: `b` begins while `c` still works, which supersteps would forbid."""
    graph = compiled(
        """
        a: {use: probe.read, with: {name: a}}
        b: {use: probe.read, needs: [a], with: {name: b}}
        c: {use: probe.read, with: {name: c}}
        d: {use: probe.read, needs: [c], with: {name: d}}
        end: {use: set, with: "${{ [b.name, d.name] }}"}
        """,
        stage.world,
        rest='outputs: {end: "${{ end }}"}',
    )
    stage.world.hold("c", "b")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("b")
    assert "-c" not in stage.world.events
    stage.world.release("c")
    await stage.world.arrival("d")
    assert "-b" not in stage.world.events
    stage.world.release("b")
    await running
    assert stage.journal.last("end").output == ["b", "d"]


async def test_a_pure_node_does_not_wait_for_effects_it_does_not_read(stage: Stage) -> None:
    """`early` reads only `a`, although it stands in one chain with `late`, which reads `slow`."""
    graph = compiled(
        """
        a: {use: probe.read, with: {name: a}}
        slow: {use: probe.read, with: {name: slow}}
        early: {use: set, with: "${{ a.name }}"}
        late: {use: set, with: "${{ early ~ slow.name }}"}
        after: {use: probe.read, with: {name: "after-${{ early }}"}}
        """,
        stage.world,
    )
    stage.world.hold("slow")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("after-a")
    assert stage.journal.statuses()["early"] == "succeeded"
    assert "late" not in stage.journal.statuses()
    stage.world.release("slow")
    await running
    assert stage.journal.last("late").output == "aslow"


def test_pure_nodes_that_become_ready_together_share_a_task(world: World) -> None:
    graph = compiled(
        """
        a: {use: set, with: 1}
        b: {use: set, with: "${{ a }}"}
        x: {use: probe.read, with: {name: x}}
        y: {use: probe.read, with: {name: "y-${{ x.name }}"}}
        z: {use: probe.read, with: {name: z}}
        c: {use: set, with: "${{ [y.calls, z.calls] }}"}
        d: {use: set, with: "${{ c + [x.calls] }}"}
        """,
        world,
    )
    units = [tuple(node.id for node in unit.nodes) for unit in graph.body.units]
    assert sorted(units) == [("a", "b"), ("c", "d"), ("x", "y"), ("z",)]


async def test_pure_nodes_cause_no_commit_of_their_own(stage: Stage) -> None:
    nodes = "\n".join(f'n{i}: {{use: set, with: "${{{{ n{i - 1} + 1 }}}}"}}' for i in range(1, 20))
    graph = compiled("n0: {use: set, with: 0}\n" + nodes, stage.world)
    assert graph.is_pure
    await stage.run(graph)
    assert stage.journal.last("n19").output == 19
    assert stage.journal.waits == 0


async def test_one_commit_stands_before_each_effect(stage: Stage) -> None:
    graph = compiled(
        """
        a: {use: probe.read, with: {name: a}}
        b: {use: set, with: "${{ a.name }}"}
        c: {use: probe.send, with: {name: "${{ b }}-c"}}
        """,
        stage.world,
    )
    assert not graph.is_pure
    await stage.run(graph)
    assert stage.journal.waits == 2


async def test_what_an_effect_read_is_committed_before_it(stage: Stage) -> None:
    graph = compiled(
        """
        a: {use: set, with: {name: x}}
        b: {use: probe.send, with: {name: "${{ a.name }}"}}
        """,
        stage.world,
    )
    stage.world.hold("x")
    running = asyncio.create_task(stage.run(graph))
    await stage.world.arrival("x")
    assert [(e.path, e.status.value) for e in stage.journal.committed] == [
        ("a", "succeeded"),
        ("b", "running"),
    ]
    stage.world.release("x")
    await running


async def test_a_blocking_tool_runs_beside_the_loop(stage: Stage) -> None:
    graph = compiled(
        "a: {use: probe.blocking, with: {name: thread}}",
        stage.world,
        rest='outputs: {a: "${{ a.name }}"}',
    )
    assert await stage.outputs(graph) == {"a": "thread"}


async def test_an_undefined_name_fails_the_step_and_says_where(stage: Stage) -> None:
    graph = compiled('a: {use: set, with: {x: "${{ inputs.missing }}"}}', stage.world)
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert (outcome.error.code, outcome.error.error_class) == ("expression_error", "invalid_input")
    assert outcome.error.message.startswith("nodes.a.with: ")
    assert "missing" in outcome.error.message


async def test_wrong_arguments_name_node_argument_and_type(stage: Stage) -> None:
    graph = compiled("a: {use: probe.read, with: {name: [1]}}", stage.world)
    outcome = await stage.run(graph)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "invalid_arguments"
    message = outcome.error.message
    assert message.startswith("nodes.a: argument 'name' of probe.read is list: ")
    assert stage.world.events == []


async def test_a_step_knows_when_it_began_and_ended(stage: Stage) -> None:
    graph = compiled("a: {use: probe.read, with: {name: a}}", stage.world)
    await stage.run(graph)
    record = stage.journal.last("a")
    assert record.started_at == record.finished_at == stage.clock.now()
    assert record.attempt == 1


async def test_containers_nest_four_deep(stage: Stage) -> None:
    graph = compiled(
        """
        rows:
          use: map
          over: [[1, 2], [3]]
          as: row
          nodes:
            again:
              use: loop
              max: 2
              nodes:
                cells:
                  use: map
                  over: ${{ row }}
                  as: cell
                  nodes:
                    pick:
                      use: switch
                      cases:
                        - when: cell > 1
                          nodes: {hit: {use: probe.send, with: {name: "n${{ cell }}"}}}
                          output: ${{ hit.name }}
                        - else: true
                          output: one
                  output: ${{ pick }}
              output: ${{ cells }}
          output: ${{ again }}
        """,
        stage.world,
        rest='outputs: {rows: "${{ rows }}"}',
    )
    assert await stage.outputs(graph) == {"rows": [["one", "n2"], ["n3"]]}
    record = stage.journal.last("rows[0].again[1].cells[1].pick.hit")
    assert record.node == "rows.again.cells.pick.hit"
    assert record.item == (0, 1)
    assert stage.world.effects("n3") == 2


async def test_a_switch_of_pure_nodes_shares_the_task_of_its_neighbours(stage: Stage) -> None:
    graph = compiled(
        """
        n: {use: set, with: 3}
        pick:
          use: switch
          cases:
            - when: n > 2
              nodes: {twice: {use: set, with: "${{ n * 2 }}"}}
              output: ${{ twice }}
        after: {use: set, with: "${{ pick + 1 }}"}
        """,
        stage.world,
        rest='outputs: {after: "${{ after }}"}',
    )
    assert graph.is_pure
    assert len(graph.body.units) == 1
    assert await stage.outputs(graph) == {"after": 7}
    assert list(stage.journal.statuses()) == ["n", "pick.twice", "pick", "after"]
