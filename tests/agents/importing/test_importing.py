"""Imported workflows are templates that run."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from treadle.agents.importing import ImportFailed, import_workflow
from treadle.agents.language import Template, parse_template
from treadle.agents.language.model import TemplateTest
from treadle.agents.nodes.fields import read_condition
from treadle.agents.testing import run_tests
from treadle.agents.values import JsonValue
from treadle.integrations.registry import all_tools

SAMPLES = Path(__file__).parent / "samples"
PAGE: dict[str, JsonValue] = {"status": 200, "headers": {}, "body": "all fine", "json": None}


def imported(name: str) -> Template:
    text = import_workflow((SAMPLES / name).read_text(encoding="utf-8"))
    return parse_template(text, tools=all_tools()).template


async def problems(
    template: Template,
    inputs: Mapping[str, JsonValue],
    mock: Mapping[str, JsonValue],
    *expect: str,
) -> list[str]:
    """What is not as expected when the template runs with these mocks."""
    test = TemplateTest.model_validate(
        {"name": "t", "inputs": dict(inputs), "mock": dict(mock),
         "expect": [read_condition(one) for one in expect]}
    )  # fmt: skip
    report = await run_tests(template.model_copy(update={"tests": (test,)}), all_tools())
    found = report.verdicts[0].problems
    return [line for problem in found for line in (problem.title, *problem.lines)]


@pytest.mark.parametrize("file", sorted(SAMPLES.iterdir()), ids=lambda file: file.name)
async def test_an_import_passes_the_test_that_comes_with_it(file: Path) -> None:
    template = imported(file.name)
    report = await run_tests(template, all_tools())
    assert [verdict.name for verdict in report.verdicts] == ["the import runs"]
    assert [verdict for verdict in report.verdicts if verdict.problems] == []


async def test_a_dify_workflow_takes_the_branch_its_conditions_say() -> None:
    template = imported("dify_support.yml")
    asked: dict[str, JsonValue] = {"question": "is it down?"}
    assert await problems(
        template, asked, {"classify": "an incident", "status_page": PAGE},
        "nodes.status_page.status == 'succeeded'",
        "nodes.no_incident.status == 'skipped'",
        "findings.value == 'all fine'",
        "outputs.kind == 'an incident'",
    ) == []  # fmt: skip
    assert await problems(
        template, asked, {"classify": "other", "status_page": PAGE},
        "nodes.status_page.status == 'skipped'",
        "findings.value == 'Nothing is known about: is it down?'",
    ) == []  # fmt: skip


async def test_difys_retries_and_default_values_hold() -> None:
    assert await problems(
        imported("dify_support.yml"), {"question": "q"},
        {"classify": "incident", "status_page": {"$error": "upstream"}},
        "nodes.status_page.status == 'recovered'",
        "nodes.status_page.attempts == 3",
        "findings.value == 'unknown'",
    ) == []  # fmt: skip


async def test_a_dify_iteration_is_a_map() -> None:
    assert await problems(
        imported("dify_iteration.yml"), {"topics": ["a", "b", "c"]},
        {"each_topic.ask": {"$each": ["A", {"$error": "upstream"}, "C"]}},
        "outputs.texts == ['A', 'C']",
    ) == []  # fmt: skip


async def test_an_n8n_workflow_takes_the_branch_its_conditions_say() -> None:
    template = imported("n8n_leads.json")
    lead: dict[str, JsonValue] = {"body": {"domain": "a.example", "email": "x@a.example"}}
    large: dict[str, JsonValue] = {"get_company": {"json": {"name": "A", "employees": 200}}}
    assert await problems(
        template, lead, {**large, "pitch": "buy"},
        "set_fields == {'company': 'A', 'size': 200, 'mail': 'x@a.example'}",
        "nodes.pitch.status == 'succeeded'",
        "outputs.small is none",
    ) == []  # fmt: skip
    small: dict[str, JsonValue] = {"get_company": {"json": {"name": "B", "employees": 3}}}
    assert await problems(
        template, lead, small, "nodes.pitch.status == 'skipped'", "outputs.small.company == 'B'"
    ) == []  # fmt: skip


def test_what_cannot_be_carried_over_stands_in_comments() -> None:
    dify = import_workflow((SAMPLES / "dify_support.yml").read_text(encoding="utf-8"))
    assert "# NOT CARRIED OVER: code (python3)" in dify
    assert "# def main(text): return {'result': text.strip()}" in dify
    n8n = import_workflow((SAMPLES / "n8n_leads.json").read_text(encoding="utf-8"))
    assert "# NOT CARRIED OVER: 'Model' (lmChatOpenAi)" in n8n
    assert "# return items;" in n8n
    assert "# Leads come from the form." in n8n


def test_a_comment_ends_where_its_line_does() -> None:
    flow: JsonValue = {
        "name": "X",
        "connections": {},
        "nodes": [
            {"name": "n", "type": "x.code", "parameters": {"jsCode": "a\r\nnodes: {}\u2028b"}},
        ],
    }
    text = import_workflow(json.dumps(flow))
    assert list(parse_template(text, tools=all_tools()).template.nodes) == ["n"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: app\napp: {mode: advanced-chat}", "advanced-chat"),
        ("a: 1", "neither a Dify DSL file"),
        ("[1]", "a mapping"),
        ("a: &x 1", "cannot be read"),
        ("kind: app\napp: {mode: workflow}", "no nodes"),
        ('{"nodes": [{"name": "a", "type": "x.set"}, {"name": "b", "type": "x.set"}],'
         ' "connections": {"a": {"main": [[{"node": "b"}]]}, "b": {"main": [[{"node": "a"}]]}}}',
         "circle"),
    ],
)  # fmt: skip
def test_what_is_no_workflow_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ImportFailed, match=reason):
        import_workflow(text)
