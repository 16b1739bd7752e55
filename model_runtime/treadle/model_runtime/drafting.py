"""Drafts of the MTP module: the first from the trunk's state, each further one from its own.

One module drafts several tokens by reading its own guess and its own state in place of the
trunk's. Each guess is drawn with the noise that the trunk's choice at that position will have.

Source: DeepSeek-V3, arXiv:2412.19437, section 2.2 (depth 1); applied again and again as in EAGLE,
Li et al., arXiv:2401.15077, section 3.1.
"""

from collections.abc import Sequence as Items

from torch import Tensor

from treadle.model_runtime.model import Wanted
from treadle.model_runtime.request import Sampling
from treadle.model_runtime.runner import Reading, Runner
from treadle.model_runtime.sampling import Place, choose
from treadle.model_runtime.sequence import Sequence


class MtpDrafting:
    """Lets the module read what the trunk has read, and sets what it guesses as drafts."""

    def __init__(self, runner: Runner, *, vocabulary: int, confidence: float) -> None:
        self._runner, self._vocabulary, self._confidence = runner, vocabulary, confidence

    def draft(self, readings: Items[Reading], counts: Items[int]) -> None:
        """As many drafts for each as `counts` says; those without read on all the same."""
        sequences = [reading.work.sequence for reading in readings]
        samplings = [sequence.request.sampling for sequence in sequences]
        if any(counts) and all(map(_is_simple, samplings)):
            wanted = [
                Wanted(count, sampling.temperature, sampling.seed)
                for count, sampling in zip(counts, samplings, strict=True)
            ]
            found = self._runner.drafts(
                readings, wanted, tokens=self._vocabulary, confidence=self._confidence
            )
            if found is not None:
                for sequence, drafts in zip(sequences, found, strict=True):
                    sequence.drafts = drafts
                return
        states = self._runner.read_mtp(readings)
        self._draft_in_turn(dict(zip(sequences, counts, strict=True)), states)

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


def _is_simple(sampling: Sampling) -> bool:
    """The best token, or a draw from the plain distribution."""
    return not (sampling.filters or sampling.penalises or sampling.logit_bias)


def _place(sequence: Sequence) -> Place:
    """Where the next draft goes, as if those before it were right."""
    history = [*sequence.tokens, *sequence.drafts] if sequence.drafts else sequence.tokens
    return Place(sequence.request.sampling, len(history), history, sequence.prompt)
