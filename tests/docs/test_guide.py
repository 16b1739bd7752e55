"""Every example of the guide is what it says: templates pass their tests, expressions hold."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle.agents.expressions import compile_expression
from treadle.agents.language import check_template, parse_template
from treadle.agents.nodes.union import NODE_TYPES
from treadle.agents.testing import run_tests
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import all_tools

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMING = {"knowledge.search", "chat.reply"}  # node types that come with their own guides


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Every block of a language, with the page and line it stands at."""
    for page in sorted(GUIDE.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            if found[1] == language:
                yield f"{page.stem}:{text.count(chr(10), 0, found.start()) + 1}", found[2]


# A block that does not begin as a template does is a part of one, shown beside its text.
TEMPLATES = {where: text for where, text in blocks("yaml") if text.startswith("treadle:")}
SCOPE: JsonObject = {
    "user": {"name": "Ada", "mail": None},
    "rows": [{"k": "a", "n": 2}, {"k": "b", "n": 1}],
}


@pytest.mark.parametrize("where", TEMPLATES)
def test_a_template_lints_without_a_word_and_passes_its_tests(where: str) -> None:
    text = TEMPLATES[where]
    assert check_template(text, tools=all_tools()) == []
    report = asyncio.run(run_tests(parse_template(text, tools=all_tools()).template, all_tools()))
    assert report.verdicts, "an example shows its tests too"
    assert [verdict for verdict in report.verdicts if verdict.problems] == []


def _lines() -> list[str]:
    return [line for _, block in blocks("expressions") for line in block.splitlines()]


@pytest.mark.parametrize("line", _lines())
def test_an_expression_has_the_value_that_stands_beside_it(line: str) -> None:
    source, _, shown = line.rpartition("->")
    wanted: JsonValue = json.loads(shown)
    assert compile_expression(source.strip()).evaluate(SCOPE) == wanted


def test_every_node_type_has_an_example() -> None:
    nodes = (GUIDE / "nodes.md").read_text(encoding="utf-8")
    assert {kind for kind in NODE_TYPES if f"use: {kind}\n" not in nodes
            and f"use: {kind}," not in nodes} <= _COMING  # fmt: skip
    assert 'use: "template:' in nodes
    assert "use: web.fetch" in nodes


def test_every_page_is_in_the_contents_and_every_link_leads_somewhere() -> None:
    contents = (GUIDE / "README.md").read_text(encoding="utf-8")
    for page in GUIDE.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in contents
        for link in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
            assert link.startswith("https") or (GUIDE / link).exists(), (page.name, link)


def test_the_template_of_the_first_page_lints_without_a_word() -> None:
    text = (GUIDE.parents[1] / "README.md").read_text(encoding="utf-8")
    (template,) = [found[2] for found in _BLOCK.finditer(text) if found[1] == "yaml"]
    assert check_template(template, tools=all_tools()) == []
