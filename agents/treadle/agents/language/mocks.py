"""Checks the `tests` of a template: their mocks, inputs and connections."""

from collections.abc import Iterator

from treadle.agents.language.findings import Findings, did_you_mean, did_you_mean_or
from treadle.agents.language.inputs import declared_inputs, fill_inputs
from treadle.agents.language.model import Template, TemplateTest
from treadle.agents.language.scopes import Layout
from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.errors import ErrorClass

MARKS = ("$error", "$each", "$fixture")


class MockCheck:
    """Checks the tests of one template."""

    def __init__(self, template: Template, layout: Layout, findings: Findings) -> None:
        self._template = template
        self._findings = findings
        self._paths = {".".join((*visit.owners, visit.name)) for visit in layout.visits}
        self._paths |= {path.removeprefix("on_failure.") for path in self._paths}

    def check(self, *, with_inputs: bool) -> None:
        """Check every test; its inputs only when the schemas they must fit are sound."""
        names: set[str] = set()
        for index, test in enumerate(self._template.tests):
            path: Path = ("tests", index)
            if test.name in names:
                self._findings.error((*path, "name"), f"two tests are named {test.name[:80]!r}")
            names.add(test.name)
            self._check_test(test, path)
            if with_inputs:
                self._check_inputs(test, path)

    def _check_test(self, test: TemplateTest, path: Path) -> None:
        for number, name in enumerate(test.connections):
            if name not in self._template.connections:
                hint = did_you_mean_or(name, self._template.connections, what="Declared")
                at = (*path, "connections", number)
                self._findings.error(at, f"unknown connection `{name}`", hint)
        for key, mock in test.mock.items():
            at = (*path, "mock", key)
            if key not in self._paths:
                spot = self._findings.document.key_spot(at)
                near = did_you_mean(key, self._paths)
                self._findings.error(at, f"no node has the path `{key[:80]}`", near, spot=spot)
            for message, advice in self._mock_faults(mock):
                self._findings.error(at, message, advice)

    def _check_inputs(self, test: TemplateTest, path: Path) -> None:
        declared = declared_inputs(self._template)
        schemas: JsonObject = dict(self._template.schemas)
        _, issues = fill_inputs(declared, test.inputs, schemas)
        for issue in issues:
            self._findings.error((*path, "inputs"), f"{issue.path}: {issue.message}", issue.hint)

    def _mock_faults(self, mock: JsonValue) -> Iterator[tuple[str, str | None]]:
        if not isinstance(mock, dict):
            return
        marks = [key for key in mock if key.startswith("$")]
        if not marks:
            return
        if len(mock) > 1 or marks[0] not in MARKS:
            yield f"a mock is a value, or exactly one of {', '.join(MARKS)}", None
            return
        meant = mock[marks[0]]
        classes = [str(member) for member in ErrorClass]
        if marks[0] == "$error" and str(meant) not in classes:
            hint = did_you_mean_or(str(meant), classes, what="Error classes")
            yield f"unknown error class {str(meant)[:80]!r}", hint
        if marks[0] == "$each":
            if not isinstance(meant, list):
                yield "`$each` is a list, one entry per item or pass", None
                return
            for item in meant:
                yield from self._mock_faults(item)
        if marks[0] == "$fixture" and str(meant) not in self._template.fixtures:
            hint = did_you_mean_or(str(meant), self._template.fixtures, what="Fixtures")
            yield f"unknown fixture {str(meant)[:80]!r}", hint
