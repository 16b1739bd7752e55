"""The step loop: plan, read tokens, choose tokens, verify drafts, draft again.

One thread drives it; `service` puts it behind asyncio. A step is a whole: between two steps
requests may come, be cancelled, or end, and nothing is half done.
"""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from time import monotonic

import torch
from torch import Tensor

from treadle.model_runtime.cache import BlockPool
from treadle.model_runtime.drafting import MtpDrafting
from treadle.model_runtime.errors import Overloaded, TooLong
from treadle.model_runtime.grammar import GrammarTooCostly
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.request import Choice, FinishReason, Progress, Request
from treadle.model_runtime.runner import Reading, Runner
from treadle.model_runtime.sampling import Place, choose
from treadle.model_runtime.scheduler import Scheduler, SchedulerLimits, Work
from treadle.model_runtime.sequence import Sequence
from treadle.model_runtime.speculate import Speculation, look_up, verified
from treadle.model_runtime.transcript import Detokenizer, Transcript


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The bounds of an engine.

    Attributes:
        blocks: Of the cache; `block_size` tokens each.
        step_tokens: Read in one step; a smaller number makes for shorter pauses between tokens.
        running: Requests in the batch at once.
        queue: Requests that may wait; more are refused.
        speculation: Where drafts come from.
        lookup_tokens: How many are drafted by look-up.
        mtp_tokens: How many are drafted by MTP; each after the first builds on the one before.
        mtp_rows: Tokens in the batch, drafts among them, up to which MTP drafts: a pass over more
            costs as much as reading them one by one.
        mtp_confidence: Where the kernels draft several tokens in one call, they stop before all of
            them together are less likely than this: verifying costs more than it brings then.
    """

    blocks: int = 512
    block_size: int = 16
    step_tokens: int = 256
    running: int = 32
    queue: int = 256
    speculation: Speculation = Speculation.OFF
    lookup_tokens: int = 4
    mtp_tokens: int = 3
    mtp_rows: int = 32
    mtp_confidence: float = 0.4


@dataclass(slots=True)
class EngineCounts:
    """Totals since the start, for metrics."""

    steps: int = 0
    read: int = 0
    prompt: int = 0
    cached: int = 0
    answered: int = 0
    drafted: int = 0
    accepted: int = 0


class Engine:
    """Serves requests on one model; not thread-safe."""

    def __init__(
        self,
        model: Decoder,
        options: EngineOptions,
        *,
        tokenizer: Detokenizer,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._model, self._options, self._tokenizer, self._clock = model, options, tokenizer, clock
        self.pool = BlockPool(options.blocks, options.block_size)
        self._mtp = options.speculation is Speculation.MTP and model.mtp_depth > 0
        ahead = max(options.mtp_tokens, 1) if self._mtp else 1
        limits = SchedulerLimits(options.step_tokens, options.running, lookahead=ahead)
        self.scheduler = Scheduler(self.pool, limits)
        self._runner = Runner(
            model, blocks=options.blocks, block_size=options.block_size, mtp=self._mtp
        )
        self._drafting = MtpDrafting(
            self._runner, vocabulary=tokenizer.size, confidence=options.mtp_confidence
        )
        self._sequences: dict[str, Sequence] = {}
        self._arrivals = 0
        self.counts = EngineCounts()

    @property
    def idle(self) -> bool:
        """No request is waiting or running."""
        return not self._sequences

    @property
    def longest(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        rows = self._options.blocks * self._options.block_size
        return min(self._model.config.max_positions, rows - 1)

    def submit(self, request: Request) -> None:
        """Let a request wait for its turn.

        Raises:
            TooLong: It leaves no room for a single token.
            Overloaded: Too many are waiting.
        """
        if len(request.prompt) >= self.longest:
            raise TooLong(len(request.prompt), self.longest - 1)
        self.check_room()
        self._arrivals += 1
        transcript = Transcript(self._tokenizer, stop=request.limits.stop)
        sequence = Sequence(request, self._arrivals, transcript)
        self._sequences[request.id] = sequence
        self.scheduler.add(sequence)

    def check_room(self) -> None:
        """Raise `Overloaded` if too many are waiting."""
        if self.scheduler.waiting >= self._options.queue:
            raise Overloaded(self.scheduler.waiting)

    def cancel(self, request_id: str) -> None:
        """Forget a request; its blocks are free at once. Unknown ids change nothing."""
        if (sequence := self._sequences.pop(request_id, None)) is not None:
            self.scheduler.remove(sequence)

    def step(self) -> list[Progress]:
        """Advance every request that fits; what each of them gained."""
        progress = self._end_late()
        work = self.scheduler.plan()
        if not work:
            return progress
        readings = self._read(work)
        self.counts.steps += 1
        self.counts.read += sum(item.count for item in work)
        progress += self._take(readings)
        self._draft([reading for reading in readings if self._holds(reading.work.sequence)])
        self._settle(readings)
        return progress

    def _read(self, work: Items[Work]) -> list[Reading]:
        """One pass over all work, with a first try at the next drafts."""
        if not self._mtp:
            return self._runner.read(work)
        most = self._most_drafts(len(work))
        counts = [min(most, self._room_behind(item)) if item.completes else 0 for item in work]
        return self._drafting.read(work, counts)

    def _end_late(self) -> list[Progress]:
        now = self._clock()
        late = [
            sequence
            for sequence in self._sequences.values()
            if (deadline := sequence.request.limits.deadline) is not None and deadline <= now
        ]
        return [self._end(sequence, FinishReason.DEADLINE) for sequence in late]

    def _end(self, sequence: Sequence, reason: FinishReason) -> Progress:
        """End a request outside of its turn."""
        sequence.finish = reason
        self.cancel(sequence.request.id)
        return self._report(sequence, (), sequence.transcript.rest())

    def _settle(self, readings: Items[Reading]) -> None:
        """Let others find what was read, then free what has ended."""
        for reading in readings:
            sequence = reading.work.sequence
            if self._holds(sequence):
                self.scheduler.settle(sequence)
            if sequence.finish:
                self.cancel(sequence.request.id)

    def _holds(self, sequence: Sequence) -> bool:
        """It was not ended outside of its turn, and still has its blocks."""
        return sequence.request.id in self._sequences

    def _take(self, readings: Items[Reading]) -> list[Progress]:
        """Choose the tokens that follow, and add those that hold to their sequences."""
        progress: list[Progress] = []
        chosen = self._choose(readings, progress)
        for reading in readings:
            sequence = reading.work.sequence
            if not self._holds(sequence):
                continue
            choices = chosen.get(sequence.request.id)
            if choices is None:
                sequence.computed = reading.work.end
            else:
                progress.append(self._extend(sequence, choices))
        return progress

    def _choose(
        self, readings: Items[Reading], progress: list[Progress]
    ) -> dict[str, list[Choice]]:
        """One choice per row of logits, all rows together; ends requests with costly grammars."""
        owners: list[str] = []
        places: list[Place] = []
        rows: list[Tensor] = []
        for reading in readings:
            if reading.logits is None:
                continue
            sequence = reading.work.sequence
            try:
                found = list(self._places(sequence))
            except GrammarTooCostly:
                progress.append(self._end(sequence, FinishReason.ERROR))
                continue
            places += found
            owners += [sequence.request.id] * len(found)
            rows.append(reading.logits)
        chosen: dict[str, list[Choice]] = {}
        if rows:
            logits = (torch.cat(rows) if len(rows) > 1 else rows[0])[:, : self._tokenizer.size]
            for owner, choice in zip(owners, choose(logits, places), strict=True):
                chosen.setdefault(owner, []).append(choice)
        return chosen

    def _places(self, sequence: Sequence) -> Iterable[Place]:
        """The next token's place, and one after each draft, as if the draft were right."""
        history = sequence.tokens
        grammar = sequence.request.grammar
        for count in range(len(sequence.drafts) + 1):
            if count:
                history = [*sequence.tokens, *sequence.drafts[:count]]
                if grammar is not None:
                    grammar.advance(sequence.drafts[count - 1])
            allowed = None if grammar is None else grammar.allowed()
            yield Place(sequence.request.sampling, len(history), history, sequence.prompt, allowed)
        if grammar is not None:
            grammar.go_back(len(sequence.drafts))

    def _extend(self, sequence: Sequence, choices: Items[Choice]) -> Progress:
        """Add the choices that hold until one of them ends the answer."""
        held = verified(sequence.drafts, choices)
        self.counts.drafted += len(sequence.drafts)
        self.counts.accepted += len(held) - 1
        sequence.drafted += len(sequence.drafts)
        sequence.accepted += len(held) - 1
        sequence.drafts = []
        text = ""
        for taken, choice in enumerate(held, start=1):
            text += self._append(sequence, choice.token)
            if sequence.finish:
                held = held[:taken]
                break
        sequence.computed = len(sequence.tokens) - 1
        self.counts.answered += len(held)
        return self._report(sequence, tuple(held), text)

    def _append(self, sequence: Sequence, token: int) -> str:
        """Add one token; the text that it makes certain."""
        request = sequence.request
        sequence.tokens.append(token)
        if request.grammar is not None:
            request.grammar.advance(token)
        if self._ends(request, token):
            sequence.finish = FinishReason.STOP
            return sequence.transcript.rest()
        text = sequence.transcript.push(token)
        full = sequence.answered >= request.limits.max_tokens
        if sequence.transcript.stopped:
            sequence.finish = FinishReason.STOP
        elif request.grammar is not None and request.grammar.finished:
            sequence.finish = FinishReason.STOP
            text += sequence.transcript.rest()
        elif full or len(sequence.tokens) >= self.longest:
            sequence.finish = FinishReason.LENGTH
            text += sequence.transcript.rest()
        return text

    def _ends(self, request: Request, token: int) -> bool:
        if token in request.limits.stop_ids:
            return True
        return token in self._tokenizer.end_tokens and not request.limits.ignore_eos

    def _report(self, sequence: Sequence, choices: tuple[Choice, ...], text: str) -> Progress:
        if sequence.finish:
            self.counts.prompt += sequence.prompt
            self.counts.cached += sequence.cached
        return Progress(sequence.request.id, choices, text, sequence.usage, sequence.finish)

    def _draft(self, readings: Items[Reading]) -> None:
        """Guess what follows; the MTP module reads the last tokens of ended answers too.

        What it read stays in the cache, for whoever continues the same text.
        """
        if self._mtp and readings:
            most = self._most_drafts(len(readings))
            counts = [
                min(most, self._room(reading.work.sequence)) if _goes_on(reading) else 0
                for reading in readings
            ]
            self._drafting.draft(readings, counts)
            for sequence in (reading.work.sequence for reading in readings):
                sequence.drafts = self._allowed(sequence, sequence.drafts)
        if self._options.speculation is Speculation.LOOKUP:
            for reading in filter(_goes_on, readings):
                sequence = reading.work.sequence
                sequence.drafts = self._allowed(
                    sequence, look_up(sequence.tokens, self._options.lookup_tokens)
                )

    def _most_drafts(self, requests: int) -> int:
        """By MTP for each of them."""
        fit = self._options.mtp_rows // requests - 1
        return max(min(self._options.mtp_tokens, fit), 0)

    def _room_behind(self, work: Work) -> int:
        """Drafts that there is room for in any case when all that is read now holds."""
        positions = self.longest - work.end - 1
        return max(min(self._room(work.sequence) - 1, positions), 0)

    def _room(self, sequence: Sequence) -> int:
        """Drafts that its length leaves room for, beside the token that follows in any case."""
        limits = sequence.request.limits
        left = min(limits.max_tokens - sequence.answered, self.longest - len(sequence.tokens))
        return max(left - 1, 0)

    def _allowed(self, sequence: Sequence, drafts: list[int]) -> list[int]:
        """Drafts up to the first that the grammar or the request's length rules out."""
        drafts = drafts[: self._room(sequence)]
        if (grammar := sequence.request.grammar) is None:
            return drafts
        steps = 0
        while steps < len(drafts) and not grammar.finished and grammar.advance(drafts[steps]):
            steps += 1
        grammar.go_back(steps)
        return drafts[:steps]


def _goes_on(reading: Reading) -> bool:
    """Its next step chooses a token."""
    return reading.work.completes and reading.work.sequence.finish is None
