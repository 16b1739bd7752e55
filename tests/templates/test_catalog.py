"""Every bundled template: it loads, has no issue and is named like its file."""

import asyncio
from pathlib import Path

import pytest

from treadle.agents.language import parse_template
from treadle.agents.testing import run_tests
from treadle.integrations.registry import all_tools

TEMPLATES = Path(__file__).parents[2] / "templates"
FILES = sorted(TEMPLATES.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_template_has_no_issue_and_the_name_of_its_file(file: Path) -> None:
    parsed = parse_template(file.read_text(encoding="utf-8"), tools=all_tools())
    assert parsed.template.name == file.stem
    assert list(parsed.warnings) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_template_has_tests_and_stands_in_the_readme(file: Path) -> None:
    parsed = parse_template(file.read_text(encoding="utf-8"), tools=all_tools())
    assert parsed.template.tests, "a bundled template without tests is refused"
    assert f"`{file.name}`" in (TEMPLATES / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_template_passes_its_tests(file: Path) -> None:
    parsed = parse_template(file.read_text(encoding="utf-8"), tools=all_tools())
    report = asyncio.run(run_tests(parsed.template, all_tools()))
    assert [verdict for verdict in report.verdicts if verdict.problems] == []


def test_there_are_templates() -> None:
    assert "keyword-research" in {file.stem for file in FILES}
