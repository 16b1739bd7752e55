"""`/docs`: the API's calls on one page, made here from OpenAPI; it loads nothing from anywhere."""

from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: CanvasText; background: Canvas; color-scheme: light dark }
summary { cursor: pointer; padding: .3rem 0 }
code { font: 13px ui-monospace, monospace }
b { display: inline-block; min-width: 4.5rem }
"""


def docs_page(openapi: dict[str, Any]) -> str:  # Any: a JSON document
    """Render the page."""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>Treadle API</title><style>{_STYLE}</style><h1>Treadle API</h1>"
        "<p>Send <code>Authorization: Bearer trd_…</code>. The same in full, for programs: "
        "<a href=/openapi.json>/openapi.json</a>.</p>" + "".join(_operations(openapi)) + "</html>"
    )


def _operations(openapi: dict[str, Any]) -> Iterator[str]:  # Any: a JSON document
    by_tag: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            tag = next(iter(operation.get("tags", [])), "other")
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    for tag, operations in sorted(by_tag.items()):
        yield f"<h2>{escape(tag)}</h2>" + "".join(operations)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:  # Any: a JSON document
    return (
        f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        f"<p>Scope: <code>{escape(operation.get('x-scope', 'none, it is public'))}</code></p>"
        f"<ul>{''.join(_parameters(operation))}</ul>{_body(operation)}</details>"
    )


def _parameters(operation: dict[str, Any]) -> Iterator[str]:  # Any: a JSON document
    for parameter in operation.get("parameters", []):
        need = "required" if parameter.get("required") else "optional"
        yield (
            f"<li><code>{escape(parameter['name'])}</code> in {escape(parameter['in'])}, {need}. "
            f"{escape(parameter.get('description', ''))}"
        )


def _body(operation: dict[str, Any]) -> str:  # Any: a JSON document
    content = operation.get("requestBody", {}).get("content", {})
    names = [
        f"<code>{escape(kind)}</code> {escape(str(media.get('schema', {}).get('$ref', '')))}"
        for kind, media in content.items()
    ]
    return f"<p>Body: {', '.join(names)}</p>" if names else ""
