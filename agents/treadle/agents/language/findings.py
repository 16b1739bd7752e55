"""Collects what is found about a template, each with its place."""

import difflib
from collections.abc import Iterable
from typing import Literal

from treadle.agents.errors import Issue
from treadle.agents.language.document import Document, Spot, dotted
from treadle.agents.nodes.fields import Path


class Findings:
    """The issues of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._issues: dict[tuple[str, str], Issue] = {}

    def error(
        self, path: Path, message: str, hint: str | None = None, *, spot: Spot | None = None
    ) -> None:
        """Something that stops the template; `spot` where it is not the value at `path`."""
        self._add("error", path, message, hint, spot)

    def warning(
        self, path: Path, message: str, hint: str | None = None, *, spot: Spot | None = None
    ) -> None:
        """Something that is probably not meant."""
        self._add("warning", path, message, hint, spot)

    @property
    def issues(self) -> list[Issue]:
        """All of them, once each, in the order of the text."""
        return sorted(self._issues.values(), key=lambda issue: (issue.line or 0, issue.column or 0))

    def _add(
        self,
        severity: Literal["error", "warning"],
        path: Path,
        message: str,
        hint: str | None,
        spot: Spot | None,
    ) -> None:
        where = spot or self.document.spot(path)
        name = dotted(path)
        issue = Issue(severity, name, where.line, where.column, message, hint)
        self._issues.setdefault((name, message), issue)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names what is spelt nearly like this, `None` without one."""
    choices = list(known)
    near = difflib.get_close_matches(name[:80], choices, n=1, cutoff=0.6)
    if not near:
        lowered = {choice.lower(): choice for choice in choices}
        near = [lowered[name.lower()]] if name.lower() in lowered else []
    return f"Did you mean `{near[0]}`?" if near else None


def did_you_mean_or(name: str, known: Iterable[str], *, what: str) -> str:
    """A near name, or all that are known: `Known here: a, b.`."""
    choices = list(known)
    listed = ", ".join(choices[:20]) + (", …" if len(choices) > 20 else "")
    return did_you_mean(name, choices) or (f"{what}: {listed}." if listed else f"{what}: none.")
