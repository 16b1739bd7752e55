"""CPU-heavy tools in another process: only names, JSON and plain failures cross the border."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from typing_extensions import override

from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.registry import AnyTool


class DetachedContext:
    """The context of a tool in another process: it computes, and nothing reaches outside."""

    @override
    def __getattribute__(self, name: str) -> NoReturn:
        """Refuse everything a `ToolContext` offers."""
        raise ToolError(
            f"a tool declared cpu_heavy has no ctx.{name}: declare it without cpu_heavy",
            error_class=ErrorClass.INTERNAL,
            code="detached_context",
        )


@dataclass(frozen=True, slots=True)
class DetachedFailure:
    """A `ToolError` on its way; the exception itself cannot be unpickled."""

    message: str
    error_class: ErrorClass
    code: str
    delivery: Delivery = Delivery.NOT_SENT

    def error(self) -> ToolError:
        """The error it was."""
        return ToolError(
            self.message, error_class=self.error_class, code=self.code, delivery=self.delivery
        )


def call_detached(module: str, name: str, arguments: JsonObject) -> "JsonValue | DetachedFailure":
    """Call the tool that a module declares under a name; runs in the other process."""
    tool: AnyTool = getattr(import_module(module), name)
    context: Any = DetachedContext()  # Any: it refuses what the protocol promises
    try:
        result: Any = tool.function(
            context, tool.params.model_validate(arguments)
        )  # Any: as declared
        dumped: JsonValue = result.model_dump(mode="json", by_alias=True)
    except ToolError as error:
        return DetachedFailure(error.message, error.error_class, error.code, error.delivery)
    except Exception as error:  # noqa: BLE001 - a tool's bug, of any kind, must cross as data
        return crash(tool.name, error)
    return dumped


def crash(tool: str, error: Exception) -> DetachedFailure:
    """What a tool's bug is to the step that called it."""
    return DetachedFailure(
        f"{tool} crashed: {type(error).__name__}: {error}",
        ErrorClass.INTERNAL,
        "tool_crashed",
        Delivery.UNKNOWN,
    )
