"""CPU time of process trees, and how busy the rest of the machine is."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What was used over a time: by the processes asked about, by everything else, in seconds."""

    ours_s: float
    others_s: float
    wall_s: float

    @property
    def other_cores(self) -> float:
        """Cores that were busy with something else."""
        return self.others_s / self.wall_s


class Meter:
    """Counts from its making on.

    Args:
        roots: Processes whose whole trees count as ours.
        aside: Trees that are neither ours nor others': the load and the model.
    """

    def __init__(self, roots: Sequence[int], aside: Sequence[int] = ()) -> None:
        self._roots, self._aside = roots, aside
        self._began, self._ours, self._apart, self._all = self._read()

    @classmethod
    def of_this_process(cls) -> Self:
        """What this process alone uses."""
        return cls([os.getpid()])

    def read(self) -> Usage:
        """What was used since."""
        now, ours, apart, everything = self._read()
        used = ours - self._ours
        # What has ended meanwhile, such as the load, is in its parent's times: ours.
        others = (everything - self._all) - used - (apart - self._apart)
        return Usage(used, max(0.0, others), now - self._began)

    def _read(self) -> tuple[float, float, float, float]:
        parents = _parents()
        ours = sum(_seconds(pid) for pid in _tree(self._roots, parents))
        apart = sum(_seconds(pid) for pid in _tree((*self._aside, os.getpid()), parents))
        if os.getpid() in self._roots:
            apart = 0.0
        return time.perf_counter(), ours, apart, _busy()


def _parents() -> dict[int, int]:
    found = dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def _tree(roots: Sequence[int], parents: dict[int, int]) -> set[int]:
    found = set(roots)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def _seconds(pid: int) -> float:
    """User and system time of a process and of its children that ended, in seconds."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return sum(map(int, stat.rpartition(")")[2].split()[11:15])) * _TICK_S


def _busy() -> float:
    """Seconds in which a core was not idle, over all cores."""
    first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, _, _, irq, soft, steal = (int(word) for word in first[1:9])
    return (user + nice + system + irq + soft + steal) * _TICK_S


def core_speed(*, turns: int = 2_000_000) -> float:
    """Million turns a second of a loop that does nothing, on one core, now."""
    began = time.process_time()
    for _ in range(turns):
        pass
    return turns / (time.process_time() - began) / 1e6


def memory_mb(roots: Sequence[int], *, named: str = "") -> float:
    """Memory of process trees in MiB, what is shared divided among its sharers (PSS)."""
    total = 0
    for pid in _tree(roots, _parents()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        if named in words:
            total += next(int(x.split()[1]) for x in rollup.splitlines() if x.startswith("Pss:"))
    return total / 1024
