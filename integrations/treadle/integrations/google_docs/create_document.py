"""`google_docs.create_document`: one document per step, never two."""

from typing import Literal

from pydantic import Field, model_validator

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.errors import ErrorClass, ToolError


class DocumentParams(Params):
    """What the document holds, and what happens when there is one. `markdown` or `html`."""

    title: str = Field(min_length=1, max_length=300, description="Title of the document.")
    markdown: str | None = Field(default=None, description="Content as Markdown.")
    html: str | None = Field(default=None, description="Content as HTML.")
    folder: str | None = Field(
        default=None,
        description="Id of a Drive folder; default: the account's own Drive.",
        json_schema_extra=DESTINATION,
    )
    on_conflict: Literal["new", "reuse", "replace"] = Field(
        default="new",
        description=(
            "`new` makes a document; `reuse` and `replace` take the one of this title in the"
            " folder that Treadle made, as it is or with the new content."
        ),
    )

    @model_validator(mode="after")
    def _check_content(self) -> "DocumentParams":
        if (self.markdown is None) == (self.html is None):
            raise ValueError("give exactly one of markdown and html")
        return self


class Document(Result):
    """Where the document is."""

    id: str
    url: str = Field(description="Address of the document, for people with access.")
    title: str
    lost: list[str] = Field(description="What the content had that Google Docs cannot show.")


# A document in the bound account goes nowhere else: its destination is fixed.
@tool("google_docs.create_document", effect=Effect.KEYED, connection="google", is_outward=False,
      reads_untrusted=False)  # fmt: skip
async def create_document(ctx: ToolContext, params: DocumentParams) -> Document:
    """Make a Google Doc from Markdown or HTML; the same step never makes two."""
    raise ToolError(
        "google_docs.create_document is declared but not available in this version of Treadle;"
        " keep the text with file.markdown until it is",
        error_class=ErrorClass.UPSTREAM,
        code="not_available_yet",
    )
