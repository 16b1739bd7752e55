"""Types are followed along references: a declared result against the parameter it feeds."""

from collections.abc import Mapping

import pytest

from treadle.agents.errors import Issue
from treadle.agents.language import check_template
from treadle.integrations.registry import AnyTool, all_tools

HEAD = "treadle: 1\nname: typed\nversion: 1.0.0\n"
SEARCH = "find: {use: web.search, with: {query: crm}}"


def errors(
    nodes: str, *, rest: str = "", tools: Mapping[str, AnyTool] | None = None
) -> list[Issue]:
    lines = "".join(f"  {line}\n" for line in nodes.splitlines())
    issues = check_template(f"{HEAD}{rest}\nnodes:\n{lines}", tools=tools or all_tools())
    return [issue for issue in issues if issue.severity == "error"]


@pytest.mark.parametrize(
    ("nodes", "rest", "path", "why"),
    [
        (
            SEARCH + '\nnext: {use: web.search, with: {query: "${{ find.results }}"}}',
            "", "nodes.next.with.query", "takes a text, found a list",
        ),
        (
            'ask: {use: llm, with: {prompt: x}}\n'
            'find: {use: web.search, with: {query: x, limit: "${{ ask }}"}}',
            "", "nodes.find.with.limit", "takes a whole number, found a text",
        ),
        (
            'ask: {use: llm, with: {prompt: x, schema: {type: object, properties:'
            ' {words: {type: string}}}}}\n'
            'mend: {use: seo.normalize, with: {keywords: "${{ ask.words }}"}}',
            "", "nodes.mend.with.keywords", "takes a list, found a text",
        ),
        (
            'find: {use: web.search, with: {query: "${{ inputs.n }}"}}',
            "inputs: {n: {type: integer}}", "nodes.find.with.query",
            "takes a text, found a whole number",
        ),
        (
            'each: {use: map, over: [1], output: {a: "1"}}\n'
            'find: {use: web.search, with: {query: "${{ each }}"}}',
            "", "nodes.find.with.query", "takes a text, found a list",
        ),
        (
            'again: {use: loop, max: 2, output: {a: 1}}\n'
            'find: {use: web.search, with: {query: "${{ again }}"}}',
            "", "nodes.find.with.query", "takes a text, found a mapping",
        ),
        (
            'way: {use: switch, cases: [{else: true, output: [1]}]}\n'
            'find: {use: web.search, with: {query: "${{ way }}"}}',
            "", "nodes.find.with.query", "takes a text, found a list",
        ),
        (
            'each: {use: map, over: [x], output: "n${{ item }}"}\n'
            'rows: {use: file.table, with: {name: x, rows: "${{ each }}"}}',
            "", "nodes.rows.with.rows", "in its items",
        ),
        (
            'find: {use: web.search, with: {query: x, limit: "1${{ inputs.n }}"}}',
            "inputs: {n: {type: integer}}", "nodes.find.with.limit",
            "takes a whole number, found a text",
        ),
        (
            'ask: {use: llm, with: {prompt: x}}\neach: {use: map, over: "${{ ask }}", output: 1}',
            "", "nodes.each.over", "takes a list, found a text",
        ),
    ],
)  # fmt: skip
def test_what_surely_does_not_fit_is_an_error(nodes: str, rest: str, path: str, why: str) -> None:
    found = [(issue.path, issue.message) for issue in errors(nodes, rest=rest)]
    assert [one for one, _ in found] == [path]
    assert why in found[0][1]


@pytest.mark.parametrize(
    ("nodes", "rest"),
    [
        (SEARCH + '\nnext: {use: web.search, with: {query: "${{ find.results[0].title }}"}}', ""),
        (SEARCH + '\nmend: {use: seo.normalize, with: {keywords: "${{ find.results | map(\'title\')'
                  ' }}"}}', ""),
        ('find: {use: web.search, with: {query: "${{ inputs.q }}"}}',
         "inputs: {q: {type: string, optional: true}}"),
        ('find: {use: web.search, with: {query: "${{ inputs.q }}"}}', "inputs: {q: {}}"),
        ('find: {use: web.search, with: {query: x, limit: "${{ inputs.n }}"}}',
         "inputs: {n: {type: number}}"),
        ('a: {use: web.search, when: inputs.go, else: {results: []}, with: {query: x}}\n'
         'each: {use: map, over: "${{ a.results }}", as: hit, output: "${{ hit.url }}"}\n'
         'mend: {use: seo.normalize, with: {keywords: "${{ each }}"}}',
         "inputs: {go: {type: boolean}}"),
    ],
)  # fmt: skip
def test_what_may_fit_is_left_to_the_run(nodes: str, rest: str) -> None:
    assert errors(nodes, rest=rest) == []


def test_every_message_says_where() -> None:
    (issue,) = errors(SEARCH + '\nnext: {use: web.search, with: {query: "${{ find.results }}"}}')
    assert (issue.line, issue.severity) == (7, "error")
    assert issue.message == ("wrong argument of `web.search`: `query` takes a text, found a list")
