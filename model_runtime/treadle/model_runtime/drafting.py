"""Drafts of the MTP module: the first from the trunk's state, each further one from its own.

One module drafts several tokens by reading its own guess and its own state in place of the
trunk's. Each guess is drawn with the noise that the trunk's choice at that position will have.

Source: DeepSeek-V3, arXiv:2412.19437, section 2.2 (depth 1); applied again and again as in EAGLE,
Li et al., arXiv:2401.15077, section 3.1.
"""

from collections.abc import Sequence as Items

from torch import Tensor

from treadle.model_runtime.model import Wanted
from treadle.model_runtime.runner import Reading, Runner
from treadle.model_runtime.sampling import Place, choose
from treadle.model_runtime.scheduler import Work
from treadle.model_runtime.sequence import Sequence


class MtpDrafting:
    """Lets the module read what the trunk has read, and sets what it guesses as drafts."""

    def __init__(self, runner: Runner, *, vocabulary: int, confidence: float) -> None:
        self._runner, self._vocabulary, self._confidence = runner, vocabulary, confidence

    def read(self, work: Items[Work], counts: Items[int]) -> list[Reading]:
        """One pass over all work; where the model can, it drafts in the same call.

        It drafts before anybody has chosen, behind the tokens that it would draw itself: those
        that `choose` draws where nothing but temperature shapes the scores. For whoever needs
        more `draft` does it afterwards.
        """
        wanted = [_wanted(item, count) for item, count in zip(work, counts, strict=True)]
        if not self._runner.reads_ahead or all(item.count < 0 for item in wanted):
            return self._runner.read(work)
        return self._runner.read(work, wanted, tokens=self._vocabulary, confidence=self._confidence)

    def draft(self, readings: Items[Reading], counts: Items[int]) -> None:
        """As many drafts for each as `counts` says; those without read on all the same."""
        pairs = zip(readings, counts, strict=True)
        left = [(reading, count) for reading, count in pairs if not _take_guessed(reading, count)]
        if left:
            states = self._runner.read_mtp([reading for reading, _ in left])
            wanted = {reading.work.sequence: count for reading, count in left}
            self._draft_in_turn(wanted, states)

    def _draft_in_turn(self, wanted: dict[Sequence, int], states: Tensor) -> None:
        """One call of the model for each further draft; `states` is (sequences, hidden)."""
        sequences = list(wanted)
        while True:
            rows = [
                row
                for row, sequence in enumerate(sequences)
                if len(sequence.drafts) < wanted[sequence]
            ]
            if len(rows) < len(sequences):
                sequences, states = [sequences[row] for row in rows], states[rows]
            if not sequences:
                return
            if sequences[0].drafts:
                states = self._runner.read_drafts(sequences, states)
            logits = self._runner.logits(states)[:, : self._vocabulary]
            places = [_place(sequence) for sequence in sequences]
            for sequence, choice in zip(sequences, choose(logits, places), strict=True):
                sequence.drafts.append(choice.token)


def _wanted(work: Work, count: int) -> Wanted:
    """What the model shall draft for one piece of work; see `MtpDrafting.read`."""
    sequence = work.sequence
    request, sampling = sequence.request, sequence.request.sampling
    shaped = sampling.filters or sampling.penalises or sampling.logit_bias or request.grammar
    if shaped and work.completes:
        return Wanted(-1)
    following = None if work.completes else sequence.tokens[work.end]
    return Wanted(count, sampling.temperature, sampling.seed, following)


def _take_guessed(reading: Reading, count: int) -> bool:
    """Whether the model read on in the same call, behind what was chosen then."""
    sequence, guessed = reading.work.sequence, reading.guessed
    if guessed is None or guessed.held != sequence.computed - reading.work.start:
        return False
    if guessed.newest != sequence.tokens[sequence.computed]:
        return False
    sequence.drafts = guessed.drafts[:count]
    return True


def _place(sequence: Sequence) -> Place:
    """Where the next draft goes, as if those before it were right."""
    history = [*sequence.tokens, *sequence.drafts] if sequence.drafts else sequence.tokens
    return Place(sequence.request.sampling, len(history), history, sequence.prompt)
