"""Collects what is found about a template, each with its place."""

from collections.abc import Iterable
from typing import Literal

from rapidfuzz import fuzz, process

from treadle.agents.errors import Issue
from treadle.agents.language.document import Document, Spot, dotted
from treadle.agents.nodes.fields import Path

NEAR = 60  # of 100; two of five letters may be wrong
MOST = 200  # issues shown; a person needs fewer, and each costs time


class TooMany(Exception):
    """Enough was found; the rest is not looked for."""


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
        if len(self._issues) > MOST:
            raise TooMany


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint that names what is spelt nearly like this, `None` without one."""
    near = process.extractOne(name[:80], list(known), scorer=fuzz.ratio, score_cutoff=NEAR)
    return f"Did you mean `{near[0]}`?" if near is not None else None


def did_you_mean_or(name: str, known: Iterable[str], *, what: str) -> str:
    """A near name, or all that are known: `Known here: a, b.`."""
    choices = list(known)
    listed = ", ".join(choices[:20]) + (", …" if len(choices) > 20 else "")
    return did_you_mean(name, choices) or (f"{what}: {listed}." if listed else f"{what}: none.")
