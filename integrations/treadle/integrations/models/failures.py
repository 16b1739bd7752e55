"""What a failed model call is called."""

from treadle.integrations.egress import Redactor
from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.models.exchange import ExchangeFailed, Response
from treadle.integrations.models.wire import WireAnswer, WireError
from treadle.integrations.retry_after import retry_after_s

MAX_MESSAGE = 500  # characters of what the endpoint says

_CLASSES = {
    401: (ErrorClass.DENIED, "model_key_refused"),
    402: (ErrorClass.DENIED, "model_balance"),
    403: (ErrorClass.DENIED, "model_key_refused"),
    408: (ErrorClass.TIMEOUT, "model_timeout"),
    409: (ErrorClass.UPSTREAM, "model_unavailable"),
    425: (ErrorClass.UPSTREAM, "model_unavailable"),
    429: (ErrorClass.RATE_LIMIT, "model_rate_limit"),
}


class Complaints:
    """Makes the errors of one endpoint, without its key."""

    def __init__(self, alias: str, redactor: Redactor) -> None:
        self._alias = alias
        self._redactor = redactor

    def status(self, response: Response, body: bytes) -> ToolError:
        """An answer that is not 200."""
        status = response.status
        error_class, code = _CLASSES.get(
            status,
            (ErrorClass.UPSTREAM, "model_unavailable")
            if status >= 500 or status < 400
            else (ErrorClass.INVALID_INPUT, "model_refused"),
        )
        return ToolError(
            self._said(f"answers with status {status}", _message_in(body)),
            error_class=error_class,
            code=code,
            delivery=Delivery.REFUSED if status < 500 else Delivery.UNKNOWN,
            retry_after_s=retry_after_s(response.headers),
        )

    def reported(self, error: WireError | str) -> ToolError:
        """An error object in an answer that began well."""
        message, kind = (error, "") if isinstance(error, str) else _parts(error)
        is_limit = "rate_limit" in kind or "429" in kind
        return ToolError(
            self._said("reports an error", message),
            error_class=ErrorClass.RATE_LIMIT if is_limit else ErrorClass.UPSTREAM,
            code="model_rate_limit" if is_limit else "model_unavailable",
            delivery=Delivery.UNKNOWN,
        )

    def broken(self, reason: str, *, code: str = "model_bad_answer") -> ToolError:
        """An answer that makes no sense, or stops."""
        return ToolError(
            self._said(reason, ""),
            error_class=ErrorClass.UPSTREAM,
            code=code,
            delivery=Delivery.UNKNOWN,
        )

    def transport(self, error: ExchangeFailed) -> ToolError:
        """The connection failed."""
        return ToolError(
            self._said(
                "cannot be reached" if error.is_unsent else "broke the connection", str(error)
            ),
            error_class=ErrorClass.UPSTREAM,
            code="model_unreachable" if error.is_unsent else "model_connection_broken",
            delivery=Delivery.NOT_SENT if error.is_unsent else Delivery.UNKNOWN,
        )

    def no_images(self) -> ToolError:
        """A request with images to a model that sees none."""
        return ToolError(
            f"the model {self._alias!r} takes no images (models.yaml); name one that does",
            error_class=ErrorClass.INVALID_INPUT,
            code="images_not_supported",
        )

    def late(self, timeout_s: float) -> ToolError:
        """No answer in time."""
        return ToolError(
            f"the model {self._alias!r} did not answer within {timeout_s:g} s",
            error_class=ErrorClass.TIMEOUT,
            code="model_timeout",
            delivery=Delivery.UNKNOWN,
        )

    def _said(self, what: str, message: str) -> str:
        told = self._redactor.redact(" ".join(message.split()))[:MAX_MESSAGE]
        return f"the endpoint of the model {self._alias!r} {what}" + (f": {told}" if told else "")


def _message_in(body: bytes) -> str:
    try:
        error = WireAnswer.model_validate_json(body).error
    except ValueError:
        error = None
    if error is None:
        return body.decode(errors="replace")
    return error if isinstance(error, str) else _parts(error)[0]


def _parts(error: WireError) -> tuple[str, str]:
    return error.message or "no message", f"{error.type or ''} {error.code or ''}"
