"""Workflows of other programs as Treadle templates: Dify DSL files and n8n workflows.

`import_workflow(text)` gives a template's text. What could not be carried over stands in comments
beside the node, which then gives null; a test with mocks of everything outside comes along, so that
`treadle test` runs what was imported. Branches become `when` on the nodes behind them.
"""

from treadle.agents.errors import TemplateInvalid
from treadle.agents.importing.dify import from_dify
from treadle.agents.importing.errors import ImportFailed
from treadle.agents.importing.n8n import from_n8n
from treadle.agents.language.loading import load
from treadle.agents.values import JsonObject, JsonValue


def import_workflow(text: str) -> str:
    """Turn a workflow into a template's text; raises `ImportFailed`."""
    content = _content(text)
    if content.get("kind") == "app":
        return from_dify(content)
    if isinstance(content.get("nodes"), list) and isinstance(content.get("connections"), dict):
        return from_n8n(content)
    raise ImportFailed(
        "neither a Dify DSL file (kind: app) nor an n8n workflow (nodes, connections)"
    )


def _content(text: str) -> JsonObject:
    try:
        content: JsonValue = load(text).content
    except TemplateInvalid as error:
        raise ImportFailed(f"the file cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ImportFailed("a workflow is a mapping")
    return content


__all__ = ["ImportFailed", "import_workflow"]
