"""`web.search`: the results of this installation's SearXNG."""

from http import HTTPStatus

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.egress import Rules
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.web.statuses import check_status
from treadle.integrations.web.text import one_line

MAX_PAGES = 10  # of one search; engines behind SearXNG rarely give more


class SearchParams(Params):
    """What to look for."""

    query: str = Field(min_length=1, max_length=500, description="What people type.")
    limit: int = Field(default=10, ge=1, le=100, description="How many results at most.")
    language: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z]{2,4})?$",
        description="Such as en or en-US.",
    )


class SearchHit(Result):
    """One result."""

    title: str
    url: str
    snippet: str
    rank: int = Field(ge=1, description="Place in the list, from 1.")


class SearchResults(Result):
    """What the search engine found, best first; each address once."""

    query: str
    results: list[SearchHit]


@tool("web.search", effect=Effect.READ)
async def search_web(ctx: ToolContext, params: SearchParams) -> SearchResults:
    """Search the web and return titles, addresses and snippets in order."""
    if ctx.search_url is None:
        raise ToolError(
            "no search engine is configured; set TREADLE_SEARCH_URL to the base URL of a SearXNG",
            error_class=ErrorClass.DENIED,
            code="search_not_configured",
        )
    found: dict[str, _Row] = {}
    for page in range(1, MAX_PAGES + 1):
        rows = await _page(ctx.http, ctx.search_url, params, page)
        new = {row.url: row for row in rows if row.url not in found}
        found |= new
        if not new or len(found) >= params.limit:
            break
    hits = list(found.values())[: params.limit]
    return SearchResults(
        query=params.query,
        results=[
            SearchHit(
                title=one_line(row.title), url=row.url, snippet=one_line(row.content), rank=rank
            )
            for rank, row in enumerate(hits, start=1)
        ],
    )


class _Row(BaseModel):
    """One result as SearXNG writes it."""

    model_config = ConfigDict(extra="ignore")

    url: str
    title: str | None = None
    content: str | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    results: list[_Row]


async def _page(
    client: httpx.AsyncClient, search_url: str, params: SearchParams, page: int
) -> list[_Row]:
    query = {"q": params.query, "format": "json", "pageno": str(page)}
    if params.language is not None:
        query["language"] = params.language
    url = f"{search_url.rstrip('/')}/search"
    rules = Rules(configured_url=search_url, total_s=30.0, read_s=20.0)
    response = await client.get(url, params=query, extensions=rules.extensions())
    if response.status_code == HTTPStatus.FORBIDDEN:
        raise ToolError(
            f"{url} refuses to answer in JSON; set `search.formats: [html, json]` and "
            "`server.limiter: false` in the settings.yml of the SearXNG",
            error_class=ErrorClass.DENIED,
            code="search_refused",
        )
    check_status(response, url)
    try:
        return _Answer.model_validate_json(response.content).results
    except ValidationError as error:
        raise ToolError(
            f"{url} answers with something else than SearXNG's JSON",
            error_class=ErrorClass.UPSTREAM,
            code="bad_search_answer",
        ) from error
