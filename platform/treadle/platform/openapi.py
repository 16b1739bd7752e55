"""The OpenAPI document: FastAPI's, with our key, scopes and problem details told in it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from treadle.platform.idempotency.fingerprint import LONGEST_KEY
from treadle.platform.problems import IssueView
from treadle.platform.routing import ApiRoute

_PROBLEM: dict[str, Any] = {  # Any: a JSON document
    "type": "object",
    "description": "RFC 9457 problem details; `code` never changes its meaning.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": ["string", "null"]},
        "issues": {"type": "array", "items": {"$ref": "#/components/schemas/IssueView"}},
    },
}
_ERROR_ANSWER: dict[str, Any] = {  # Any: a JSON document
    "description": "Any error.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

_IDEMPOTENCY_KEY: dict[str, Any] = {  # Any: a JSON document
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key and body, the first answer is given again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}


def install_openapi(app: FastAPI) -> None:
    """Let the app tell its API at `/openapi.json`."""

    def openapi() -> dict[str, Any]:  # Any: a JSON document
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    # FastAPI's documented way to extend the document is to replace this method.
    app.openapi = openapi  # type: ignore[method-assign]  # see above


def routes_of(app: FastAPI) -> list[ApiRoute]:
    """Every route that we made, in order."""
    contexts = iter_route_contexts(app.routes)
    return [c.original_route for c in contexts if isinstance(c.original_route, ApiRoute)]


def _document(app: FastAPI) -> dict[str, Any]:  # Any: a JSON document
    document = get_openapi(
        title="Treadle", version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas["Problem"] = _PROBLEM
    schemas["IssueView"] = IssueView.model_json_schema()
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key, `trd_…`."}
    }
    for route in routes_of(app):
        for method in sorted(route.methods or ()):
            operation = document["paths"].get(route.path_format, {}).get(method.lower())
            if operation is not None:
                _tell(operation, route)
    return document


def _tell(operation: dict[str, Any], route: ApiRoute) -> None:  # Any: a JSON document
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = _ERROR_ANSWER
    if route.methods == {"POST"} and route.is_repeatable:
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    if route.scope is not None:
        operation["security"] = [{"key": []}]
        operation["x-scope"] = route.scope.value
