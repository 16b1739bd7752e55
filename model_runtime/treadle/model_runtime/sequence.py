"""One request on its way through the engine."""

from dataclasses import dataclass, field

from treadle.model_runtime.request import FinishReason, Request, Usage
from treadle.model_runtime.transcript import Transcript


@dataclass(slots=True, eq=False)
class Sequence:
    """Tokens so far, the cache rows that hold them, and what was drafted for the next step.

    Attributes:
        tokens: Prompt and answer.
        computed: Positions whose cache rows are right; the rest of `tokens` is still to be read.
        blocks: Held in the cache; they cover at least `computed` positions.
        names: The names of all blocks that `tokens` fill; the first `named` are in the pool.
        reused: Positions whose rows were found in the cache when it last got blocks.
        drafts: Guesses for the tokens after the last, to be verified in the next step.
    """

    request: Request
    arrival: int
    transcript: Transcript
    tokens: list[int] = field(init=False)
    computed: int = 0
    blocks: list[int] = field(default_factory=list[int])
    names: list[bytes] = field(default_factory=list[bytes])
    named: int = 0
    reused: int = 0
    drafts: list[int] = field(default_factory=list[int])
    cached: int = 0
    drafted: int = 0
    accepted: int = 0
    finish: FinishReason | None = None

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)

    @property
    def prompt(self) -> int:
        """Tokens of the prompt."""
        return len(self.request.prompt)

    @property
    def answered(self) -> int:
        """Tokens of the answer."""
        return len(self.tokens) - self.prompt

    @property
    def unread(self) -> int:
        """Tokens whose rows are not computed; 1 while decoding, more while prefilling."""
        return len(self.tokens) - self.computed

    @property
    def decoding(self) -> bool:
        """Only the newest token is unread."""
        return self.unread == 1

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return Usage(self.prompt, self.answered, self.cached, self.drafted, self.accepted)
