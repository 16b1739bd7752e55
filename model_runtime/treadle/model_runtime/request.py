"""What the engine is asked for, and what it says back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from treadle.model_runtime.grammar import Matcher


class FinishReason(StrEnum):
    """Why a request ended."""

    STOP = "stop"  # an end token, a stop string, or a grammar that allows nothing more
    LENGTH = "length"  # max_tokens, or the model's last position
    CANCELLED = "cancelled"  # by the client
    DEADLINE = "deadline"  # its own time was over
    ERROR = "error"  # its grammar became too costly


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is chosen from the logits; 0 and 1 mean off where that is the neutral value.

    `seed` alone determines the noise: with the same seed, the same tokens come out whatever
    else is in the batch.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    seed: int = 0
    logprobs: int | None = None  # alternatives to report per token; None reports nothing

    @property
    def greedy(self) -> bool:
        """The best token, without noise."""
        return self.temperature == 0

    @property
    def filters(self) -> bool:
        """Whether unlikely tokens are cut off."""
        return bool(self.top_k) or self.top_p < 1 or self.min_p > 0

    @property
    def penalises(self) -> bool:
        """Whether earlier tokens count."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1, 0, 0)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a request ends; `deadline` is on the engine's clock."""

    max_tokens: int
    stop: tuple[str, ...] = ()
    stop_ids: frozenset[int] = frozenset()
    ignore_eos: bool = False
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to one prompt; `n` answers are `n` requests that share their prompt's blocks.

    Attributes:
        owner: Whose turn it is when many wait; usually the API key.
        salt: Prompts are shared in the cache only under the same salt; usually the workspace.
        background: Waits until no other request does.
        grammar: What the answer must match; one matcher belongs to one request.
    """

    id: str
    prompt: Sequence[int]
    sampling: Sampling
    limits: Limits
    owner: str = ""
    salt: str = ""
    background: bool = False
    grammar: Matcher | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token and its log-probability before temperature, filters and penalties."""

    token: int
    logprob: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A token chosen, and the likeliest ones in its place if they were asked for."""

    token: int
    logprob: float | None = None
    likeliest: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens so far; `cached` of the prompt's came out of the cache."""

    prompt: int
    completion: int
    cached: int
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step brought one request; `finish` is set on the last."""

    id: str
    choices: tuple[Choice, ...]
    text: str
    usage: Usage
    finish: FinishReason | None = None
