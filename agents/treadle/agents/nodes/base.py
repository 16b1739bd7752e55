"""Keys that several node types share."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict

from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import AnyValue, When
from treadle.integrations.errors import ErrorClass

T = TypeVar("T")
Listed: TypeAlias = Annotated[tuple[T, ...], Strict(False)]
"""A list as templates write it, frozen."""

DEFAULT_TIMEOUT = timedelta(minutes=2)
MODEL_TIMEOUT = timedelta(minutes=10)
ID_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"


class Part(BaseModel):
    """A mapping of the template; unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True,
        validate_by_alias=True, validate_by_name=False,
    )  # fmt: skip


class Retry(Part):
    """How often a failed attempt is repeated; `attempts` counts the first."""

    attempts: int = Field(default=1, ge=1, le=10)
    backoff: Literal["exponential", "fixed"] = "exponential"
    initial: Duration = timedelta(seconds=1)
    max: Duration = timedelta(seconds=60)
    on: Listed[Annotated[ErrorClass, Strict(False)]] = (
        ErrorClass.TIMEOUT,
        ErrorClass.RATE_LIMIT,
        ErrorClass.UPSTREAM,
    )


class OnError(Part):
    """The value a failed step takes, which makes it `recovered`. It may read `error`."""

    value: AnyValue


class NodeBase(Part):
    """What every node has.

    Attributes:
        description: For people; nothing depends on it.
        when: A condition, without the marker; where it does not hold the node is skipped.
        otherwise: Output of a skipped node; null if it is absent.
        needs: Nodes that must be done before, where no reference says so.
        on_error: `{value: …}` in place of a failure: the step is `recovered`.
    """

    kind: ClassVar[str]
    description: str | None = None
    when: When | None = None
    otherwise: AnyValue | None = Field(default=None, alias="else")
    needs: Listed[str] = ()
    on_error: OnError | None = None


class CallBase(NodeBase):
    """A node that reaches a model or a tool. `timeout` is per attempt.

    Attributes:
        retry: How often a failed attempt is repeated.
        timeout: Of one attempt; 2m, 10m for `llm` and `agent`.
        cache: How long its result is taken again for the same work.
    """

    retry: Retry | None = None
    timeout: Duration | None = None
    cache: Duration | None = None


class ContainerBase(NodeBase):
    """A node of nodes.

    Attributes:
        timeout: Its wall time without waiting.
    """

    timeout: Duration | None = None
