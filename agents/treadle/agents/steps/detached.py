"""CPU-heavy tools in another process: only names and JSON cross the border."""

from importlib import import_module
from typing import Any, NoReturn

from typing_extensions import override

from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass, ToolError
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


def call_detached(module: str, name: str, arguments: dict[str, JsonValue]) -> JsonValue:
    """Call the tool that a module declares under a name; runs in the other process."""
    tool: AnyTool = getattr(import_module(module), name)
    context: Any = DetachedContext()  # Any: it refuses what the protocol promises
    result: Any = tool.function(context, tool.params.model_validate(arguments))  # Any: as declared
    dumped: JsonValue = result.model_dump(mode="json", by_alias=True)
    return dumped
