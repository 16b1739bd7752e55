"""Who computes what in the next step, under a budget of tokens and a stock of cache blocks."""

from collections.abc import Sequence as Items
from dataclasses import dataclass

from treadle.model_runtime.cache import BlockPool, next_name
from treadle.model_runtime.fairness import FairQueue
from treadle.model_runtime.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Work:
    """Read tokens of `sequence` from position `start` up to `end`, drafts included.

    `completes` if all known tokens are read then, so that a new one follows.
    """

    sequence: Sequence
    start: int
    end: int
    completes: bool

    @property
    def tokens(self) -> Items[int]:
        """The tokens to read."""
        sequence = self.sequence
        return [*sequence.tokens[self.start : self.end], *(sequence.drafts * self.completes)]

    @property
    def count(self) -> int:
        """How many they are."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """The bounds of one step.

    Attributes:
        step_tokens: Read in one step; the prompts' share sets the pause between two tokens.
        running: Requests that hold blocks at once.
        lookahead: Positions beyond the known tokens that a step may write.
    """

    step_tokens: int = 512
    running: int = 64
    lookahead: int = 1


class Scheduler:
    """Keeps the waiting and the running; running ones hold blocks."""

    def __init__(self, pool: BlockPool, limits: SchedulerLimits) -> None:
        self._pool, self._limits = pool, limits
        self._lines = {
            background: FairQueue(quantum=limits.step_tokens) for background in (False, True)
        }
        # Had blocks and lost them; they come before all who wait.
        self._preempted: list[Sequence] = []
        self.running: list[Sequence] = []
        self.preemptions = 0

    @property
    def waiting(self) -> int:
        """Requests without blocks."""
        return len(self._preempted) + sum(len(line) for line in self._lines.values())

    def all(self) -> list[Sequence]:
        """Every request that is not finished."""
        lines = [sequence for line in self._lines.values() for sequence in line]
        return [*self.running, *self._preempted, *lines]

    def add(self, sequence: Sequence) -> None:
        """Let a new request wait for its turn."""
        self._lines[sequence.request.background].add(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take out a request that has ended; its blocks are free at once."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self._preempted:
            self._preempted.remove(sequence)
        else:
            self._lines[sequence.request.background].remove(sequence)
        self._give_back(sequence)

    def plan(self) -> list[Work]:
        """Every running request's next token, then prompts by arrival while the budget lasts."""
        work = [
            _work(sequence, 1)
            for sequence in list(self.running)
            if sequence.decoding and self._secure(sequence)
        ]
        # Securing blocks for a later request may have taken those of an earlier one.
        work = [item for item in work if item.sequence in self.running]
        budget = self._limits.step_tokens - sum(item.count for item in work)
        for sequence in [sequence for sequence in self.running if not sequence.decoding]:
            if budget <= 0:
                return work
            work.append(_work(sequence, budget))
            budget -= work[-1].count
        while budget > 0 and (admitted := self._admit()) is not None:
            work.append(_work(admitted, budget))
            budget -= work[-1].count
        return work

    def _secure(self, sequence: Sequence) -> bool:
        """Get the blocks for the next step, from the newest requests if need be."""
        while sequence in self.running:
            needed = len(sequence.tokens) + len(sequence.drafts) + self._limits.lookahead
            blocks = self._pool.take(self._pool.blocks_for(needed) - len(sequence.blocks))
            if blocks is not None:
                sequence.blocks += blocks
                return True
            self._preempt(max(self.running, key=lambda other: other.arrival))
        return False

    def _preempt(self, sequence: Sequence) -> None:
        """Take a request's blocks; it will read all of its tokens again."""
        self.running.remove(sequence)
        self._give_back(sequence)
        self._preempted.append(sequence)
        self._preempted.sort(key=lambda other: other.arrival)
        self.preemptions += 1

    def _give_back(self, sequence: Sequence) -> None:
        self._pool.release(sequence.blocks)
        sequence.blocks, sequence.drafts = [], []
        sequence.computed = sequence.reused = sequence.named = 0

    def _admit(self) -> Sequence | None:
        """Start the request whose turn it is, if there is room for all of its tokens.

        Nobody overtakes a large request that has to wait for room, or it would wait for ever.
        """
        if len(self.running) >= self._limits.running:
            return None
        if self._preempted:
            sequence = self._preempted[0]
            if not self._enter(sequence):
                return None
            self._preempted.remove(sequence)
        else:
            line = next((line for line in self._lines.values() if len(line)), None)
            if line is None or not self._enter(sequence := line.peek()):
                return None
            line.pop(sequence)
        self.running.append(sequence)
        return sequence

    def _enter(self, sequence: Sequence) -> bool:
        """Find the rows that are there already, and get blocks for the others; or for none.

        The last token is always read anew: its logits are what is wanted.
        """
        size = self._pool.block_size
        name_blocks(sequence, size)
        found = self._pool.find(sequence.names[: (len(sequence.tokens) - 1) // size])
        needed = self._pool.blocks_for(len(sequence.tokens) + self._limits.lookahead)
        taken = self._pool.take(needed - len(found))
        if taken is None:
            self._pool.release(found)
            return False
        sequence.blocks = found + taken
        sequence.computed = sequence.reused = len(found) * size
        sequence.named = len(found)
        if not sequence.answered:
            sequence.cached = sequence.reused
        return True

    def settle(self, sequence: Sequence) -> None:
        """Make the blocks that the last step completed findable."""
        size = self._pool.block_size
        name_blocks(sequence, size)
        while (sequence.named + 1) * size <= sequence.computed:
            self._pool.name(sequence.blocks[sequence.named], sequence.names[sequence.named])
            sequence.named += 1


def _work(sequence: Sequence, budget: int) -> Work:
    count = min(sequence.unread, budget)
    completes = count == sequence.unread
    end = sequence.computed + count + (len(sequence.drafts) if completes else 0)
    return Work(sequence, sequence.computed, end, completes)


def name_blocks(sequence: Sequence, size: int) -> None:
    """Extend `names` to every block that the known tokens fill.

    The salt keeps workspaces apart: that a prompt is answered sooner tells that it was seen.
    """
    names = sequence.names
    while (len(names) + 1) * size <= len(sequence.tokens):
        parent = names[-1] if names else sequence.request.salt.encode()
        names.append(next_name(parent, sequence.tokens[len(names) * size :][:size]))
