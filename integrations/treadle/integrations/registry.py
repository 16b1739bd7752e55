"""Every tool of this installation, by name. A new integration is one line in `MODULES`."""

import difflib
from functools import cache
from importlib import import_module
from typing import Any

from treadle.integrations.base import Tool
from treadle.integrations.errors import UnknownTool

MODULES: tuple[str, ...] = (
    # one line per integration module, in alphabetical order
    "treadle.integrations.files",
    "treadle.integrations.google_docs",
    "treadle.integrations.http",
    "treadle.integrations.notify",
    "treadle.integrations.seo",
    "treadle.integrations.web",
)

AnyTool = Tool[Any, Any]  # Any: the registry holds tools of every parameter and result type


@cache
def all_tools() -> dict[str, AnyTool]:
    """Import every integration and return its tools by name."""
    tools = [tool for module in MODULES for tool in import_module(module).TOOLS]
    return {tool.name: tool for tool in sorted(tools, key=lambda tool: tool.name)}


def get_tool(name: str) -> AnyTool:
    """Return a tool; raises `UnknownTool` with near names."""
    tools = all_tools()
    if name not in tools:
        raise UnknownTool(name, similar=difflib.get_close_matches(name, tools, n=3))
    return tools[name]
