"""Hints: what a worker just committed, told to whoever watches. They hurry, they never decide.

A hint of little size carries the entries themselves, so that the watcher needs no query. Whoever
missed one reads the log.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from treadle.agents.ports import StepRecord
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.engine.claims import ClaimedRun
from treadle.platform.engine.ids import RunId
from treadle.platform.engine.leases import ENDED, Release
from treadle.platform.engine.writer import Committed

COMMITS = "treadle:commits"
CANCELS = "treadle:cancels"
SIGNALS = "treadle:signals"
"""Ids of runs for which something came from outside: an answer, a pause, a child's end."""
SMALL = 16 * 1024


def delta_channel(run: RunId) -> str:
    """Where pieces of this run's model answers are published while it makes them."""
    return f"treadle:deltas:{run}"


def write_delta(step: StepRecord, text: str, *, at: datetime) -> str:
    """A piece of a model's answer, as a message; the step is named as in its own entries."""
    said = {"at": at.isoformat(), "node": step.node, "path": step.path, "item": step.item}
    return json.dumps({**said, "text": text})


@dataclass(frozen=True, slots=True)
class Hint:
    """Entries `seq + 1 …` of a run were committed at `at`.

    Attributes:
        entries: `None` where they were too large to send along.
        outputs: Those of a run that succeeded with this commit.
    """

    run: RunId
    seq: int
    at: datetime
    entries: list[JsonObject] | None
    outputs: JsonValue

    @property
    def is_end(self) -> bool:
        """Whether it says that the run ended."""
        return self.entries is not None and str(self.entries[-1]["t"]) in _ENDINGS


_ENDINGS = frozenset(f"run.{status.value}" for status in ENDED)


def write_hints(committed: Sequence[Committed]) -> str:
    """Several commits as one message. What is JSON already is not parsed again."""
    return f"[{','.join(_write(item) for item in committed)}]"


def write_claims(claimed: Sequence[ClaimedRun]) -> str:
    """What claiming these runs wrote, as one message: without it a watcher would miss an entry."""
    return f"[{','.join(_write_claim(run) for run in claimed)}]"


def _write_claim(run: ClaimedRun) -> str:
    kind = "run.started" if run.started_at == run.at else "run.resumed"
    head = f'"run":"{run.id}","seq":{run.seq - 1},"at":"{run.at.isoformat()}"'
    return f'{{{head},"entries":[{{"t":"{kind}"}}],"outputs":null}}'


def _write(item: Committed) -> str:
    commit = item.commit
    head = f'"run":"{commit.lease.run}","seq":{commit.seq},"at":"{item.at.isoformat()}"'
    outputs = _outputs(commit.release)
    if sum(len(entry.text) for entry in commit.entries) + len(outputs) > SMALL:
        return f"{{{head}}}"
    entries = ",".join(entry.text for entry in commit.entries)
    return f'{{{head},"entries":[{entries}],"outputs":{outputs}}}'


def _outputs(release: Release | None) -> str:
    is_end = release is not None and release.status in ENDED
    return (release.outputs if is_end and release else None) or "null"


def read_hints(message: str | bytes) -> list[Hint]:
    """Read a message of `write_hints`."""
    return [
        Hint(
            run=RunId(UUID(item["run"])),
            seq=item["seq"],
            at=datetime.fromisoformat(item["at"]),
            entries=item.get("entries"),
            outputs=item.get("outputs"),
        )
        for item in json.loads(message)
    ]
