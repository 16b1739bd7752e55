"""What may be read where, and what a container lets out."""

from collections.abc import Callable

import pytest

Lint = Callable[[str], list[str]]


def messages(found: list[str]) -> list[str]:
    """The errors without their places."""
    return [line.split(": ", 1)[1] for line in found if line.startswith("error")]


def test_only_the_output_leaves_a_container(lint_nodes: Lint) -> None:
    nodes = """
        each:
          use: map
          over: [a]
          nodes: {hit: {use: set, with: "${{ item }}"}}
          output: ${{ hit }}
        after: {use: set, with: "${{ hit }}"}
    """
    assert messages(lint_nodes(nodes)) == [
        "`hit` is inside `each`; only the output of `each` can be read here"
        " | Read `each`, and put what you need into its `output`."
    ]


def test_inner_nodes_read_outer_ones_at_any_depth(lint_nodes: Lint) -> None:
    nodes = """
        first: {use: set, with: {a: 1}}
        outer:
          use: map
          over: [1]
          as: one
          nodes:
            inner:
              use: loop
              max: 2
              state: {n: 0}
              nodes:
                choice:
                  use: switch
                  cases:
                    - when: first.a == one
                      nodes: {deep: {use: set, with: "${{ [first.a, one, state.n, loop.index] }}"}}
                      output: ${{ deep }}
              next: {n: "${{ choice }}"}
              output: ${{ choice }}
          output: ${{ inner }}
    """
    assert messages(lint_nodes(nodes)) == []


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("state.x", "`state` is known only inside a loop"),
        ("loop.index", "`loop` is known only inside a map or a loop"),
        ("event.body", "`event` is known only in triggers"),
        ("error.message", "`error` is known only in `on_failure` and in `on_error`"),
        ("outputs.x", "`outputs` is known only in tests"),
        ("secrets.key", "unknown name `secrets`"
         " | Templates never see secrets or settings; use a connection."),
        ("run.ownr", "`run` has no field `ownr` | Did you mean `owner`?"),
        ("inputs.seds", "unknown input `seds` | Declared: none."),
        ("connections.google", "unknown connection `google` | Declared: none."),
        ("nodes.b.state", "`nodes.b` has no field `state` | Did you mean `status`?"),
        ("nodes.bb.status", "unknown node `bb` | Did you mean `b`?"),
        ("nodes", "`nodes` is read without naming a node"
         " | Write nodes.<id>.status; references make edges, so the id must be constant."),
        ("b.one", "`b` is a list and has no field `one`"),
    ],
)  # fmt: skip
def test_names_that_are_not_known_here(lint_nodes: Lint, expression: str, answer: str) -> None:
    nodes = f"""
        b: {{use: set, with: [1]}}
        a: {{use: set, with: "${{{{ {expression} }}}}"}}
    """
    assert messages(lint_nodes(nodes)) == [answer]


def test_the_error_of_a_step_is_known_in_its_on_error(lint_nodes: Lint) -> None:
    nodes = """
        a:
          use: web.search
          with: {query: x}
          on_error: {value: {why: "${{ error.message }}", of: "${{ error['class'] }}"}}
    """
    assert messages(lint_nodes(nodes)) == []


def test_a_default_makes_a_missing_field_harmless(lint_nodes: Lint) -> None:
    nodes = """
        b: {use: web.search, with: {query: x}}
        a: {use: set, with: "${{ b.pages | default([]) }}"}
    """
    assert messages(lint_nodes(nodes)) == []


def test_the_field_of_an_else_value_counts(lint_nodes: Lint) -> None:
    nodes = """
        b: {use: web.search, with: {query: x}, when: 1 < 2, else: {why: off}}
        a: {use: set, with: "${{ b.why }}"}
    """
    assert messages(lint_nodes(nodes)) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("inputs", "`inputs` is a reserved word"),
        ("for", "`for` is a keyword of expressions"),
        ("Big", "wrong id 'Big'"),
        ("a-b", "wrong id 'a-b'"),
        ("a" * 64, "wrong id '" + "a" * 64 + "'"),
    ],
)
def test_ids_that_cannot_be(lint_nodes: Lint, name: str, answer: str) -> None:
    assert messages(lint_nodes(f"{name}: {{use: set, with: 1}}"))[0].startswith(answer)


def test_nothing_shadows_what_is_outside(lint_nodes: Lint) -> None:
    nodes = """
        a: {use: set, with: 1}
        b: {use: map, over: [1], as: a, output: 1}
        c:
          use: map
          over: [1]
          nodes: {a: {use: set, with: 1}, item: {use: set, with: 2}}
          output: 1
        d: {use: loop, max: 1, nodes: {d: {use: set, with: 1}}, output: 1}
    """
    assert messages(lint_nodes(nodes)) == [
        "the item name `a` shadows a name outside | Choose another name with `as`.",
        "`a` shadows a name outside | Choose another name.",
        "`item` is the name of the map's item | Choose another name.",
        "`d` shadows a name outside | Choose another name.",
    ]


def test_ids_are_unique_across_the_cases_of_a_switch(lint_nodes: Lint) -> None:
    nodes = """
        a:
          use: switch
          cases:
            - {when: 1 < 2, nodes: {x: {use: set, with: 1}}, output: "${{ x }}"}
            - {else: true, nodes: {x: {use: set, with: 2}}, output: "${{ x }}"}
    """
    assert messages(lint_nodes(nodes)) == [
        "`x` is already a node of case 1 | Ids are unique across the cases of a switch."
    ]


def test_a_container_that_its_own_node_reads_is_a_cycle(lint_nodes: Lint) -> None:
    nodes = """
        a:
          use: map
          over: [1]
          nodes: {x: {use: set, with: "${{ b }}"}}
          output: ${{ x }}
        b: {use: set, with: "${{ a }}"}
    """
    assert messages(lint_nodes(nodes)) == [
        "a cycle, these nodes wait for each other: a → b → a"
        " | References make edges; only a loop goes back."
    ]


def test_needs_names_nodes(lint_nodes: Lint) -> None:
    nodes = """
        alpha: {use: set, with: 1}
        b: {use: set, with: 1, needs: [alhpa]}
    """
    assert messages(lint_nodes(nodes)) == ["unknown node `alhpa` | Did you mean `alpha`?"]
