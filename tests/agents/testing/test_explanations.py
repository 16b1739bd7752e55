"""Why an expectation does not hold, as a person reads it."""

import pytest
from tests.agents.testing.conftest import Try

from treadle.agents.expressions.syntax import parse_expression
from treadle.agents.testing.explanations import explain
from treadle.agents.testing.writing import written
from treadle.agents.values import JsonObject

SCOPE: JsonObject = {
    "run": {"status": "failed"},
    "outputs": {"rows": [{"keyword": "crm"}, {"keyword": "erp"}], "url": None, "text": "a\nb\n"},
    "nodes": {"read": {"attempts": 2}},
}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("run.status == 'succeeded'", ['run.status is "failed"']),
        (
            "run.status == 'failed' and nodes.read.attempts < 2",
            ["nodes.read.attempts is 2"],
        ),
        (
            "outputs.url or nodes.read.attempts == 3",
            ["outputs.url is null", "nodes.read.attempts is 2"],
        ),
        ("not outputs.rows", ['outputs.rows is [{"keyword": "crm"}, {"keyword": "erp"}]']),
        (
            "outputs.rows | length > 5",
            [
                "outputs.rows | length is 2",
                'outputs.rows is [{"keyword": "crm"}, {"keyword": "erp"}]',
            ],
        ),
        ("outputs.url is string", ["outputs.url is null"]),
        (
            "outputs.url.host == 'x'",
            [
                "outputs.url.host cannot be evaluated: 'outputs.url' is null and has no field"
                " 'host'; add `| default(…)`"
            ],
        ),
    ],
)
def test_the_parts_say_what_they_came_to(source: str, lines: list[str]) -> None:
    assert explain(source, SCOPE) == lines


def test_structures_are_compared_line_by_line() -> None:
    lines = explain("outputs.rows == [{'keyword': 'crm'}, {'keyword': 'cms'}]", SCOPE)
    assert '-    "keyword": "cms"' in lines
    assert '+    "keyword": "erp"' in lines


def test_long_values_are_cut() -> None:
    (line,) = explain("outputs.long == 'x'", {"outputs": {"long": "y" * 5000}})
    assert len(line) < 400
    assert "5002 characters" in line


@pytest.mark.parametrize(
    "source",
    [
        "a.b[0]['c d'] | default('x', true) | join(', ')",
        "not (a and b or c) == (1 - -2) * 3 // 4 % 5",
        "a if b is not none else [1, {'k': (1, 2)}]",
        "'it\\'s \"x\"\\n' ~ a[1:] ~ a[:n - 1]",
        "a | where('status', eq='x') | length not in [1.5, true, none]",
    ],
)
def test_what_is_written_means_the_same(source: str) -> None:
    tree, _ = parse_expression(source)
    again, _ = parse_expression(written(tree))
    assert again == tree


async def test_a_failed_test_shows_expectation_parts_and_the_error_of_the_run(tried: Try) -> None:
    report = await tried("""
        nodes: {far: {use: web.search, with: {query: x}}}
        outputs: {n: "${{ far.results | length }}"}
        tests: [{name: n, mock: {far: {$error: upstream}}, expect: ["outputs.n == 1"]}]
        """)
    (problem,) = report.verdicts[0].problems
    assert problem.title == "outputs.n == 1"
    (line,) = problem.lines  # not that `outputs` is null: that is no news of a failed run
    assert line.startswith("the run failed at `far`: mocked error")
