"""Pages and calls for tests of the SEO tools."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import JsonValue
from tests.doubles.tool_context import NoContext

from treadle.integrations.base import Params, Result, Tool
from treadle.integrations.seo.pages import Heading, Link, Page

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


def call(tool: Tool[P, R], **arguments: object) -> R:
    """Call a synchronous tool with arguments as a template gives them."""
    result = tool.function(NoContext(), tool.params.model_validate(arguments))
    assert isinstance(result, tool.result)
    return result


def page(
    path: str,
    *,
    title: str = "",
    text: str = "",
    headings: Sequence[str] = (),
    links: Sequence[str] = (),
    description: str | None = None,
    json_ld: JsonValue = None,
    site: str = "https://shop.example",
) -> Page:
    """A page as `web.fetch` returns it; the first heading is of level 1."""
    return Page(
        url=f"{site}/{path}",
        title=title,
        text=text,
        headings=tuple(
            Heading(level=2 if number else 1, text=line) for number, line in enumerate(headings)
        ),
        links=tuple(Link(url=f"{site}/{link}", text=link) for link in links),
        meta={"description": description},
        json_ld=json_ld,
    )
