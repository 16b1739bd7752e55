"""The matrix of kills: the boundaries of a scenario's steps, found by watching it run once."""

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.interceptor import Moment
from tests.chaos.scenarios import Scenario
from typing_extensions import override

_INDEX = re.compile(r"\[\d+\]")
# Sweeps carry the entries of quarantined runs and of orphans with them, whether they find any or
# not, and only the first time that a process prepares them.
_OF_SWEEPS = frozenset({"run.failed", "run.cancelled"})


class Where(StrEnum):
    """What stands at a boundary."""

    CLAIM = "claim"
    COMMIT = "commit"
    EFFECT = "effect"
    MODEL = "model"


@dataclass(frozen=True)
class Boundary:
    """A moment at which the worker is killed.

    Attributes:
        label: Of a commit, an entry it writes; of an effect, its path at the sink.
        moment: Before or after a claim or commit; an effect has arrived, or was answered.
    """

    where: Where
    label: str
    moment: Moment

    @override
    def __str__(self) -> str:
        return f"{self.moment} {self.where} {self.label}".rstrip()


def boundaries(scenario: Scenario, labels: Iterable[str]) -> list[Boundary]:
    """All boundaries of a scenario.

    Of the items of a map and the passes of a loop one stands for all: the last that was seen.

    Args:
        labels: The entries that were written when it ran undisturbed.
    """
    places = {_INDEX.sub("", one): one for one in labels if one not in _OF_SWEEPS}
    found = [(Where.CLAIM, "")]
    found += [(Where.COMMIT, label) for label in places.values()]
    found += [(Where.EFFECT, f"keyed {path}") for path, count in scenario.keyed.items() if count]
    found += [(Where.EFFECT, f"once {path}") for path in scenario.once]
    if scenario.model_calls:
        found.append((Where.MODEL, ""))
    return [
        Boundary(where, label, moment)
        for where, label in found
        for moment in Moment
        if (where, moment) != (Where.MODEL, Moment.AFTER)
    ]


def sample(found: list[Boundary], chance: random.Random, count: int) -> list[Boundary]:
    """Some of them, in order."""
    return sorted(chance.sample(found, min(count, len(found))), key=found.index)


def spare_model_calls(boundary: Boundary) -> int:
    """Calls that may be paid twice: one that was not committed when the worker died."""
    if boundary.moment is Moment.BEFORE:
        return 1
    is_done = boundary.label.startswith(("call.succeeded", "step.succeeded", "run."))
    return 0 if boundary.where is Where.COMMIT and is_done else 1


def must_not_repeat(boundary: Boundary, path: str) -> bool:
    """Whether the effect of this path is known to be committed at this boundary."""
    committed = f"step.succeeded {path}"
    return boundary == Boundary(Where.COMMIT, committed, Moment.AFTER)
