"""The tool is whole as a declaration; calling it says that it cannot work yet."""

import pytest
from pydantic import ValidationError
from tests.doubles.tool_context import NoContext, call_tool

from treadle.integrations.base import Effect
from treadle.integrations.errors import Delivery, ToolError
from treadle.integrations.google_docs.create_document import create_document


def test_the_declaration_is_the_contract() -> None:
    assert create_document.effect is Effect.KEYED
    assert create_document.connection == "google"
    assert not create_document.connection_optional
    assert list(create_document.params.model_fields) == [
        "title", "markdown", "html", "folder", "on_conflict",
    ]  # fmt: skip
    assert list(create_document.result.model_fields) == ["id", "url", "title", "lost"]
    assert create_document.params(title="Plan", markdown="# x").on_conflict == "new"


@pytest.mark.parametrize("content", [{}, {"markdown": "# x", "html": "<h1>x</h1>"}])
def test_a_document_has_one_content(content: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one of markdown and html"):
        create_document.params.model_validate({"title": "Plan", **content})


async def test_calling_it_fails_with_a_clear_error_and_without_an_effect() -> None:
    with pytest.raises(ToolError, match="not available in this version") as failure:
        await call_tool(create_document, NoContext(), {"title": "Plan", "markdown": "# x"})
    assert failure.value.code == "not_available_yet"
    assert failure.value.delivery is Delivery.NOT_SENT
