"""The model endpoints of a worker."""

from collections.abc import Callable

from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion


class NoModels:
    """An installation without a model endpoint: every call fails, and says what to set."""

    @property
    def available(self) -> bool:
        """Never."""
        return False

    async def complete(
        self,
        request: ChatRequest,
        *,
        timeout_s: float,
        on_delta: Callable[[str], None] | None = None,
    ) -> Completion:
        """See `ModelClient`."""
        raise ToolError(
            "no model endpoint is configured: set TREADLE_MODEL_URL or write models.yaml",
            error_class=ErrorClass.UPSTREAM,
            code="no_model_endpoint",
        )
