"""What a template may not say, rule by rule."""

from collections.abc import Callable

import pytest

Lint = Callable[[str], list[str]]
HEAD = "treadle: 1\nname: sample\nversion: 1.0.0\n"
NODE = "nodes: {a: {use: set, with: 1}}\noutputs: {a: '${{ a }}'}\n"


def bare(found: list[str], kind: str = "error") -> list[str]:
    """The findings of one kind as `path: message`, without place and hint."""
    return [line.split(" ", 2)[2].split(" | ")[0] for line in found if line.startswith(kind)]


def test_the_example_of_the_design_has_no_finding(lint: Lint, example: str) -> None:
    assert lint(example) == []


@pytest.mark.parametrize(
    ("node", "answer"),
    [
        ("{use: map, over: [1], output: 1, retry: {attempts: 2}}",
         "nodes.a.retry: `retry` does not work on this node"),
        ("{use: set, with: 1, cache: 1d}", "nodes.a.cache: `cache` does not work on this node"),
        ("{use: web.search, with: {query: x}, retry: {attempts: 11}}",
         "nodes.a.retry.attempts: must be at most 10, found 11"),
        ("{use: web.search, with: {query: x}, retry: {on: [timeot]}}",
         "nodes.a.retry.on[0]: expected 'timeout', 'rate_limit', 'upstream', 'invalid_output',"
         " 'invalid_input', 'denied', 'budget', 'cancelled', 'worker_crash' or 'internal',"
         " found 'timeot'"),
        ("{use: web.search, with: {query: x}, timeout: 5 minutes}",
         "nodes.a.timeout: '5 minutes' is no duration; write a whole number and ms, s, m, h or d"),
        ("{use: map, over: 5, output: 1}", "nodes.a.over: expected a list, found 5"),
        ("{use: map, over: [1], output: 1, tolerate: 101%}",
         "nodes.a.tolerate: expected a share such as 15%, from 0% to 100%"),
        ("{use: loop, max: 0, output: 1}", "nodes.a.max: must be at least 1, found 0"),
        ("{use: switch, cases: [{output: 1}]}",
         "nodes.a.cases[0]: a case has either `when` or `else: true`"),
        ("{use: llm, with: {system: x}}",
         "nodes.a.with: an llm or agent needs `prompt` or `messages`"),
        ("{use: llm, with: {prompt: x, temperature: 3}}",
         "nodes.a.with.temperature: must be at most 2, found 3"),
        ("{use: llm, with: {prompt: x, schema: {type: strin}}}",
         "nodes.a.with.schema.type: wrong JSON Schema: \"strin\" fits none of the allowed forms"),
        ("{use: llm, with: {prompt: x, schema: {$ref: '#/schemas/y'}}}",
         "nodes.a.with.schema.$ref: unknown schema `y`"),
        ("{use: wait, with: {for: 1h, at: x}}",
         "nodes.a.with: a wait has exactly one of `for`, `at` and `callback: true`"),
        ("{use: approval, with: {timeout: 1d, on_timeout: aprove}}",
         "nodes.a.with.on_timeout: `on_timeout` is one of approve, reject or fail"),
        ("{use: 'template:sample'}", "nodes.a.use: a template may not run itself"),
        ("{use: 'template:other@^x.1.y'}",
         "nodes.a.use: '^x.1.y' is no version range such as 1.2.3, ^1.2 or 1.x"),
        ("{use: set, with: 1, when: '${{ true }}'}",
         "nodes.a.when: an expression stands here without the marker ${{ }}"),
        ("{use: google_docs.create_document, with: {title: x}}",
         "nodes.a.connection: `google_docs.create_document` needs a connection of type google"),
        ("{use: web.search, with: {query: x}, connection: g}",
         "nodes.a.connection: `web.search` takes no connection"),
        ("{use: http.request, with: {url: x}, connection: crm}",
         "nodes.a.connection: unknown connection `crm`"),
        ("{use: agent, with: {prompt: x, tools: [web.serach]}}",
         "nodes.a.with.tools[0]: unknown tool 'web.serach'"),
        ("{use: agent, with: {prompt: x, tools: [{use: web.search, with: {limit: 99}}]}}",
         "nodes.a.with.tools[0].with.limit: wrong argument of `web.search`:"
         " must be at most 50, found 99"),
    ],
)  # fmt: skip
def test_a_wrong_node(lint_nodes: Lint, node: str, answer: str) -> None:
    assert answer in bare(lint_nodes(f"a: {node}"))


@pytest.mark.parametrize(
    ("section", "answer"),
    [
        ("inputs: {a: {type: strng}}", "inputs.a.type: wrong JSON Schema: "
         "\"strng\" fits none of the allowed forms"),
        ("inputs: {a: {type: string, default: 5}}",
         "inputs.a.default: the default does not fit its own schema: expected a text, found 5"),
        ("inputs: {a: {type: string, pattern: '('}}",
         "inputs.a.pattern: wrong pattern: missing ) at position 1"),
        ("inputs: {a: {type: string, pattern: '(a+)+$', default: " + "a" * 5000 + "!}}",
         "inputs.a.default: the default does not fit its own schema:"
         " the pattern takes too long to search; make it simpler"),
        ("inputs: {a: {$ref: 'https://example.org/x'}}",
         "inputs.a.$ref: `$ref` leads nowhere: 'https://example.org/x'"),
        ("schemas: {x: {allOf: [{$ref: '#/schemas/x'}]}}",
         "schemas.x: the schema `x` refers to itself without end"),
        ("connections: {g: {type: gogle}}", "connections.g.type: expected 'google', 'slack',"
         " 'smtp', 'wordpress', 's3', 'mcp' or 'http', found 'gogle'"),
        ("triggers: [{use: schedule, cron: '0 25 * * *'}]",
         "triggers[0].cron: wrong cron line: Bad hour"),
        ("triggers: [{use: schedule, cron: '0 0 7 * * *'}]",
         "triggers[0].cron: wrong cron line: it has 5 fields"),
        ("triggers: [{use: schedule, every: 1h, timezone: Mars/Base}]",
         "triggers[0].timezone: unknown time zone 'Mars/Base'"),
        ("triggers: [{use: schedule}]",
         "triggers[0]: a schedule has exactly one of `cron`, `at` and `every`"),
        ("triggers: [{use: webhok}]", "triggers[0].use: unknown trigger 'webhok'"),
        ("triggers: [{use: webhook, inputs: {x: 1}}]",
         "triggers[0].inputs.x: unknown input `x`"),
        ("budget: {wall: soon}", "budget.wall: 'soon' is no duration;"
         " write a whole number and ms, s, m, h or d"),
        ("tests: [{name: t, mock: {b: 1}}]", "tests[0].mock.b: no node has the path `b`"),
        ("tests: [{name: t, mock: {a: {$error: boom}}}]",
         "tests[0].mock.a: unknown error class 'boom'"),
        ("tests: [{name: t, mock: {a: {$fixture: f}}}]",
         "tests[0].mock.a: unknown fixture 'f'"),
        ("tests: [{name: t, mock: {a: {$each: [1], x: 2}}}]",
         "tests[0].mock.a: a mock is a value, or exactly one of $error, $each, $fixture"),
        ("tests: [{name: t, expect: ['outputs.b == 1']}]",
         "tests[0].expect[0]: `outputs` has no field `b`"),
        ("tests: [{name: t, connections: [g]}]",
         "tests[0].connections[0]: unknown connection `g`"),
        ("tests: [{name: t, inputs: {x: 1}}]",
         "tests[0].inputs: inputs.x: unknown input `x`"),
    ],
)  # fmt: skip
def test_a_wrong_section(lint: Lint, section: str, answer: str) -> None:
    assert bare(lint(HEAD + NODE + section + "\n")) == [answer]


def test_an_optional_connection_needs_a_guard(lint: Lint) -> None:
    head = HEAD + "connections: {g: {type: google, optional: true}}\nnodes:\n  d:\n"
    node = "    use: google_docs.create_document\n    connection: g\n    with: {title: x}\n"
    assert bare(lint(head + node)) == [
        "nodes.d.connection: the optional connection `g` is used without a guard"
    ]
    assert bare(lint(head + node + "    when: connections.g\n")) == []


def test_what_is_doubtful_is_a_warning(lint_nodes: Lint) -> None:
    nodes = """
        a: {use: approval}
        b:
          use: switch
          cases: [{else: true, output: 1}, {when: 1 < 2, output: 2}]
        c: {use: set, with: 1}
    """
    found = lint_nodes(nodes)
    assert bare(found) == []
    assert bare(found, "warning") == [
        "nodes.a.with.timeout: this approval waits for ever: it has no timeout",
        "nodes.b.cases[1]: this case is never reached: case 1 always holds",
        "nodes.c: nothing reads `c`",
    ]


def test_an_approval_whose_timeout_is_wrong_is_not_said_to_have_none(
    lint_nodes: Lint,
) -> None:
    found = lint_nodes("a: {use: approval, with: {timeout: tomorrow}}")
    (error,) = bare(found)
    assert error.startswith("nodes.a.with.timeout: 'tomorrow' is no duration")
    assert not any("waits for ever" in line for line in bare(found, "warning"))


def test_a_wrong_language_version(lint: Lint) -> None:
    found = bare(lint("treadle: 2\nname: sample\nversion: 1.0.0\n" + NODE))
    assert found == ["treadle: unknown language version 2; this Treadle reads version 1"]


def test_a_wrong_name_and_version(lint: Lint) -> None:
    found = bare(lint("treadle: 1\nname: Bad\nversion: '1.0'\n" + NODE))
    assert found == [
        "name: wrong name 'Bad': use lower-case letters, digits and hyphens, a letter first,"
        " 2 to 63 characters",
        "version: '1.0' is no semantic version such as 1.4.0",
    ]


def test_a_template_without_nodes(lint: Lint) -> None:
    assert bare(lint(HEAD)) == ["nodes: missing key `nodes`"]
    assert bare(lint(HEAD + "nodes: {}\n")) == ["nodes: a template needs at least one node"]


def test_a_declared_connection_that_nobody_uses_is_a_warning(lint: Lint) -> None:
    found = lint(HEAD + "connections: {g: {type: google}}\n" + NODE)
    assert bare(found, "warning") == ["connections.g: no node uses the connection `g`"]


def test_an_unknown_tool_hides_no_other_mistake(lint: Lint) -> None:
    nodes = "nodes: {a: {use: web.serach, connection: g, with: {x: '${{ b }}'}}}\n"
    found = lint(HEAD + "connections: {g: {type: google}}\n" + nodes)
    assert bare(found) == ["nodes.a.use: unknown tool 'web.serach'",
                           "nodes.a.with.x: unknown name `b`"]  # fmt: skip
    assert bare(found, "warning") == []
