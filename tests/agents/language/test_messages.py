"""The exact answers people get for what they most often get wrong."""

from collections.abc import Callable

Lint = Callable[[str], list[str]]


def errors(found: list[str]) -> list[str]:
    return [line for line in found if line.startswith("error")]


def test_wrong_yaml_names_the_place_and_the_mend(lint: Lint) -> None:
    assert lint("treadle: 1\nname: a: b\n") == [
        "error 2:8 : wrong YAML: mapping values are not allowed in this context"
        " | Quote a text that holds a colon and a space, or mend the indentation."
    ]


def test_an_expression_in_a_flow_mapping_stands_in_quotes(lint: Lint) -> None:
    (answer,) = lint("treadle: 1\nnodes: {a: {use: set, with: {x: ${{ inputs.y }}}}}\n")
    assert answer.endswith('Inside { } and [ ] an expression stands in quotes: "${{ … }}".')


def test_an_unknown_node_type(lint_nodes: Lint) -> None:
    assert lint_nodes("a: {use: lmm, with: {prompt: hi}}") == [
        "error 5:12 nodes.a.use: unknown node type 'lmm' | Did you mean `llm`?"
    ]


def test_an_unknown_tool(lint_nodes: Lint) -> None:
    assert lint_nodes("a: {use: web.serach, with: {query: x}}") == [
        "error 5:12 nodes.a.use: unknown tool 'web.serach' | Did you mean `web.search`?"
    ]


def test_a_cycle_is_printed(lint_nodes: Lint) -> None:
    nodes = """
        a: {use: set, with: "${{ c }}"}
        b: {use: set, with: "${{ a }}"}
        c: {use: set, with: "${{ b }}"}
    """
    assert lint_nodes(nodes) == [
        "error 5:3 nodes.a: a cycle, these nodes wait for each other: a → c → b → a"
        " | References make edges; only a loop goes back."
    ]


def test_a_node_that_reads_itself(lint_nodes: Lint) -> None:
    assert lint_nodes('a: {use: set, with: "${{ a }}"}') == [
        "error 5:3 nodes.a: a cycle: `a` reads itself"
        " | References make edges; only a loop goes back."
    ]


def test_an_unknown_name_points_into_the_prompt(lint_nodes: Lint) -> None:
    nodes = """
        seeds: {use: set, with: [x]}
        a:
          use: llm
          with:
            prompt: |
              First line.
              About ${{ sedes }}.
    """
    assert "error 11:19 nodes.a.with.prompt: unknown name `sedes` | Did you mean `seeds`?" in (
        lint_nodes(nodes)
    )


def test_a_wrong_expression_points_at_its_place(lint_nodes: Lint) -> None:
    (answer,) = errors(lint_nodes('a: {use: set, with: {x: "${{ 1 + }}"}}'))
    assert answer.startswith("error 5:")
    assert answer.split(" ")[2] == "nodes.a.with.x:"


def test_a_field_that_a_tool_does_not_give(lint_nodes: Lint) -> None:
    nodes = """
        hits: {use: web.search, with: {query: x}}
        a: {use: set, with: "${{ hits.result }}"}
    """
    assert "error 6:28 nodes.a.with: `hits` has no field `result` | Did you mean `results`?" in (
        lint_nodes(nodes)
    )


def test_a_field_that_a_schema_does_not_give(lint: Lint, example: str) -> None:
    found = lint(example.replace("expand.keywords + suggest", "expand.nonsense + suggest"))
    assert errors(found) == [
        "error 29:27 nodes.merge.with.keywords: `expand` has no field `nonsense`"
        " | It has: keywords."
    ]


def test_an_argument_of_the_wrong_type(lint_nodes: Lint) -> None:
    assert errors(lint_nodes("a: {use: web.search, with: {query: 5, limit: many}}")) == [
        "error 5:38 nodes.a.with.query: wrong argument of `web.search`: expected a text, found 5",
        "error 5:48 nodes.a.with.limit: wrong argument of `web.search`:"
        " expected a whole number, found 'many'",
    ]


def test_a_missing_and_an_unknown_argument(lint_nodes: Lint) -> None:
    assert errors(lint_nodes("a: {use: web.search, with: {qery: x}}")) == [
        "error 5:30 nodes.a.with.query: `web.search` needs the argument `query`",
        "error 5:31 nodes.a.with.qery: `web.search` has no argument `qery` | Did you mean `query`?",
    ]


def test_an_unknown_key(lint_nodes: Lint) -> None:
    assert errors(lint_nodes("a: {use: set, wiht: 1}")) == [
        "error 5:6 nodes.a.with: missing key `with`",
        "error 5:17 nodes.a.wiht: unknown key `wiht` | Did you mean `with`?",
    ]


def test_a_loop_without_a_cap(lint_nodes: Lint) -> None:
    assert lint_nodes("a: {use: loop, nodes: {b: {use: set, with: 1}}, output: 1}")[0] == (
        "error 5:6 nodes.a.max: missing key `max`"
    )


def test_duplicate_keys_show_both_places(lint: Lint) -> None:
    assert lint("treadle: 1\nname: a\nname: b\n") == [
        "error 3:1 name: the key 'name' stands here twice; the first is at line 2, column 1"
    ]


def test_every_mistake_is_found_at_once(lint: Lint) -> None:
    text = """\
treadle: 1
titel: x
nodes:
  a: {use: lmm}
  b: {use: set, with: "${{ nope }}"}
  c: {use: web.search, with: {query: x, limit: 99}}
outputs: {z: "${{ b }}"}
"""
    paths = [line.split(" ")[2] for line in errors(lint(text))]
    assert paths == ["name:", "version:", "titel:", "nodes.a.use:", "nodes.b.with:",
                     "nodes.c.with.limit:"]  # fmt: skip


def test_one_mistake_is_told_once(lint: Lint, lint_nodes: Lint) -> None:
    nodes = """
        a: {use: set, with: {v: "${{ 1 + }}"}}
        b: {use: set, with: {v: "${{ a.v }}"}}
        c: {use: switch, cases: [{when: "true"}]}
        d: {use: switch}
        e: {use: "template:No", with: {}}
    """
    assert [line.split(" | ")[0] for line in errors(lint_nodes(nodes))] == [
        "error 5:28 nodes.a.with.v: unexpected '}}'",
        "error 7:28 nodes.c.cases[0].output: missing key `output`",
        "error 8:6 nodes.d.cases: missing key `cases`",
        "error 9:12 nodes.e.use: 'template:No' does not match "
        "^template:[a-z][a-z0-9-]{1,62}(@.+)?$",
    ]
    triggers = "triggers: [{use: nope}, {use: schedule, cron: x}]\n"
    head = "treadle: 1\nname: ab\nversion: 1.0.0\nnodes: {a: {use: set, with: {v: 1}}}\n"
    assert [line.split(":")[1].split(" ")[1] for line in errors(lint(head + triggers))] == [
        "triggers[0].use",
        "triggers[1].cron",
    ]


def test_null_is_written_none(lint_nodes: Lint) -> None:
    (answer,) = errors(lint_nodes('a: {use: set, with: {v: "${{ null }}"}}'))
    assert answer.endswith("unknown name `null` | Write `none` in expressions.")
