"""What differs between two plays of one cassette, node by node."""

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from treadle.agents.ports import Failed, Outcome, StepRecord, StepStatus, Succeeded
from treadle.agents.steps.frame import error_as_json
from treadle.agents.testing.reports import Problem, Report, Verdict
from treadle.agents.values import JsonObject, JsonValue

What: TypeAlias = Literal[
    "added", "removed", "status", "asked", "not recorded", "output", "error", "run"
]
MOST_LINES = 40
LONGEST = 300


@dataclass(slots=True)
class Play:
    """What one version made of a cassette.

    Attributes:
        steps: The last record of every step, by path.
        asked: What each step that reaches outside passed on, rendered.
        unrecorded: Paths of steps for which the cassette has nothing.
    """

    outcome: Outcome | None = None
    steps: dict[str, StepRecord] = field(default_factory=dict[str, StepRecord])
    asked: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    unrecorded: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the new version does otherwise; `path` is a step's, or `outputs.<name>`."""

    path: str
    what: What
    before: JsonValue
    after: JsonValue

    def lines(self) -> list[str]:
        """For people: a line, or a diff where the values have several."""
        if self.what in {"added", "removed", "not recorded"}:
            return []
        before, after = _lines(self.before), _lines(self.after)
        if len(before) == len(after) == 1:
            return [f"- {before[0][:LONGEST]}", f"+ {after[0][:LONGEST]}"]
        made = list(difflib.unified_diff(before, after, "recorded", "now", lineterm="", n=2))
        more = [f"… {len(made) - MOST_LINES} more lines"] if len(made) > MOST_LINES else []
        return [line[:LONGEST] for line in made[:MOST_LINES]] + more


@dataclass(frozen=True, slots=True)
class Replay:
    """A cassette played by a new version.

    Attributes:
        before: Version that was recorded.
        paths: Every step of either version, in the order of the recorded one.
    """

    template: str
    before: str
    after: str
    paths: Sequence[str]
    differences: Sequence[Difference]
    seconds: float

    @property
    def is_same(self) -> bool:
        """Whether the new version does the same."""
        return not self.differences

    def report(self) -> Report:
        """One verdict per step, so that it prints and is written like tests."""
        found: dict[str, list[Difference]] = {path: [] for path in self.paths}
        for one in self.differences:
            found.setdefault(one.path, []).append(one)
        verdicts = [
            Verdict(path, 0.0, 1, [Problem(_TITLES[one.what], one.lines()) for one in there])
            for path, there in found.items()
        ]
        return Report(self.template, self.after, verdicts)


_TITLES: Mapping[What, str] = {
    "added": "new in this version",
    "removed": "no longer in this version",
    "status": "ends otherwise",
    "asked": "asks otherwise; the recorded answer was to another question",
    "not recorded": "the cassette has no answer for it",
    "output": "another output",
    "error": "another error",
    "run": "the run ends otherwise",
}


def differences(before: Play, after: Play) -> list[Difference]:
    """Everything that differs, in the order of the steps."""
    found: list[Difference] = []
    for path in step_paths(before, after):
        found += _of_step(path, before, after)
    return [*found, *_of_outcome(before.outcome, after.outcome)]


def step_paths(before: Play, after: Play) -> list[str]:
    """Steps of either."""
    return list(dict.fromkeys([*before.steps, *after.steps]))


def _of_step(path: str, before: Play, after: Play) -> list[Difference]:
    old, new = before.steps.get(path), after.steps.get(path)
    if path in after.unrecorded:
        return [Difference(path, "not recorded", None, dict(after.asked.get(path, {})))]
    if old is None:
        return [] if new is None else [Difference(path, "added", None, new.output)]
    if new is None:
        return [Difference(path, "removed", old.output, None)]
    found: list[Difference] = []
    asked = before.asked.get(path), after.asked.get(path)
    if asked[0] is not None and asked[1] is not None and asked[0] != asked[1]:
        found.append(Difference(path, "asked", dict(asked[0]), dict(asked[1])))
    if old.status is not new.status:
        found.append(Difference(path, "status", _status(old), _status(new)))
    elif old.output != new.output:
        found.append(Difference(path, "output", old.output, new.output))
    elif old.status is StepStatus.FAILED and _error(old) != _error(new):
        found.append(Difference(path, "error", _error(old), _error(new)))
    return found


def _status(record: StepRecord) -> JsonValue:
    error = "" if record.error is None else f": {record.error.message}"
    return f"{record.status.value}{error}"


def _error(record: StepRecord) -> JsonValue:
    return error_as_json(record.error)


def _of_outcome(before: Outcome | None, after: Outcome | None) -> list[Difference]:
    old, new = _ending(before), _ending(after)
    if old != new:
        return [Difference("run", "run", old, new)]
    if not (isinstance(before, Succeeded) and isinstance(after, Succeeded)):
        return []
    return [
        Difference(f"outputs.{name}", "output", before.outputs.get(name), after.outputs.get(name))
        for name in dict.fromkeys([*before.outputs, *after.outputs])
        if before.outputs.get(name) != after.outputs.get(name)
    ]


def _ending(outcome: Outcome | None) -> str:
    match outcome:
        case Succeeded():
            return "succeeded"
        case Failed(error=error):
            return f"failed at {error.path}: {error.message}"
        case _:
            return "does not end"


def _lines(value: JsonValue) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text.splitlines() or [""]
