"""Errors of the model runtime.

ModelRuntimeError
├── UnsupportedModel       the checkpoint is of another architecture or storage
├── BadConfig              config.json lacks a value or contradicts itself
├── BadCheckpoint          the tensors are not the ones that the config promises
├── CannotSplit            a model cannot be shared by so many ranks
├── EngineRefused          an engine of others is absent, or does not take what is asked of it
├── EngineFailed           the process of an engine of others ended, or never answered
└── RequestError           one request cannot be served; carries `status`, `code` and `param`
    ├── BadRequest         the request is wrong and will stay wrong
    ├── TooLong            prompt and answer do not fit the model or the cache
    ├── Overloaded         the queue is full; try again later
    ├── Unauthorised       no key, or a wrong one
    ├── NotServed          no such model or path here
    ├── DeadlineExceeded   the request ran out of its own time
    ├── EngineStopped      the engine's thread has ended
    ├── EngineStarting     the engine behind this server is not ready yet
    └── UpstreamFailed     the endpoint behind this one did not answer, or not as agreed
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar


class ModelRuntimeError(Exception):
    """Base of all expected errors of this folder."""


class UnsupportedModel(ModelRuntimeError):
    """Another architecture or storage format; the message names what serves it."""


class BadConfig(ModelRuntimeError):
    """config.json lacks a value, or two values contradict each other."""


class BadCheckpoint(ModelRuntimeError):
    """The tensors found are not those that the config promises; the first ten of each kind."""

    def __init__(
        self,
        where: str,
        *,
        missing: Sequence[str] = (),
        extra: Sequence[str] = (),
        misshapen: Sequence[str] = (),
    ) -> None:
        found = {"missing": missing, "extra": extra, "misshapen": misshapen}
        parts = [_excerpt(kind, names) for kind, names in found.items() if names]
        super().__init__(
            f"the tensors in {where!r} do not fit its config: {'; '.join(parts)}; "
            "fetch the checkpoint again or correct its config.json"
        )
        self.missing, self.extra, self.misshapen = tuple(missing), tuple(extra), tuple(misshapen)


class CannotSplit(ModelRuntimeError):
    """Heads, widths, experts or FP8 blocks are no multiple of the number of ranks."""


class EngineRefused(ModelRuntimeError):
    """An engine of others is absent, unknown, or does not take the command; the message says."""


class EngineFailed(ModelRuntimeError):
    """The process of an engine of others ended, or was never ready; its last lines are quoted."""


def _excerpt(kind: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{len(names)} {kind}: {', '.join(names[:10])}{more}"


class RequestError(ModelRuntimeError):
    """One request cannot be served; the server renders it as OpenAI's error body."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST
    kind: ClassVar[str] = "invalid_request_error"

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.param = message, code, param


class BadRequest(RequestError):
    """The request is wrong and will stay wrong."""

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None):
        super().__init__(message, code=code, param=param)


class TooLong(RequestError):
    """Prompt and answer do not fit the model's context or the cache."""

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens and at most {limit} fit with room for an answer; "
            "shorten the messages",
            code="context_length_exceeded",
            param="messages",
        )


class Overloaded(RequestError):
    """The queue is full; `retry_after_s` says when to come back."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    kind = "rate_limit_error"

    def __init__(self, waiting: int, *, retry_after_s: int = 1) -> None:
        super().__init__(f"{waiting} requests are waiting; try again later", code="queue_full")
        self.retry_after_s = retry_after_s


class DeadlineExceeded(RequestError):
    """The request ran out of its own time before its first token."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    kind = "timeout_error"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s", code="deadline_exceeded")


class Unauthorised(RequestError):
    """No key, or a wrong one."""

    status = HTTPStatus.UNAUTHORIZED
    kind = "authentication_error"

    def __init__(self) -> None:
        super().__init__(
            "send one of the server's keys as `Authorization: Bearer …`", code="invalid_api_key"
        )


class NotServed(RequestError):
    """No such model here."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, model: str, served: Sequence[str]) -> None:
        super().__init__(
            f"no model {model!r}; served here: {', '.join(served) or 'none for this'}",
            code="model_not_found",
            param="model",
        )


class EngineStopped(RequestError):
    """The engine's thread has ended, by a failure or because the server is closing."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "server_error"

    def __init__(self) -> None:
        super().__init__("the engine has stopped; restart the server", code="engine_stopped")


class UpstreamFailed(RequestError):
    """The endpoint behind this one did not answer, or not as the protocol says."""

    status = HTTPStatus.BAD_GATEWAY
    kind = "server_error"

    def __init__(self, message: str) -> None:
        super().__init__(message, code="upstream_failed")


class EngineStarting(Overloaded):
    """The engine behind this server loads its weights, at first or again after a crash."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    kind = "server_error"

    def __init__(self) -> None:
        RequestError.__init__(
            self, "the engine is starting; try again later", code="engine_starting"
        )
        self.retry_after_s = 10
