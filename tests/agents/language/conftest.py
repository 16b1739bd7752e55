"""Tools declared like the real ones, so that the language is tested without integrations."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from treadle.agents.language import check_template
from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.registry import AnyTool


class SeedParams(Params):
    seeds: list[str]


class KeywordParams(Params):
    keywords: list[str]


class Keywords(Result):
    keywords: list[str]


class Suggestions(Result):
    keywords: list[str]
    sources: dict[str, str] = Field(default_factory=dict[str, str])


class SearchParams(Params):
    query: str = Field(min_length=1)
    limit: Annotated[int, Field(ge=1, le=50)] = 10


class Hit(Result):
    title: str
    url: str
    snippet: str
    rank: int


class SearchResult(Result):
    results: list[Hit]


class PlanParams(Params):
    rows: list[dict[str, Any]]  # Any: rows have any columns
    note: str | None = None


class Plan(Result):
    markdown: str
    items: list[dict[str, Any]]  # Any: as above


class DocumentParams(Params):
    title: str
    markdown: str | None = None


class CreatedDocument(Result):
    id: str
    url: str
    title: str
    lost: list[str]


class MailParams(Params):
    to: str
    subject: str
    text: str


class Sent(Result):
    message_id: str


class CallParams(Params):
    method: str = "GET"
    url: str
    headers: dict[str, str] = Field(default_factory=dict[str, str])


class Answer(Result):
    status: int
    body: str


@tool("seo.suggest", effect=Effect.READ)
def suggest(ctx: ToolContext, params: SeedParams) -> Suggestions:
    """Suggest keywords."""
    raise NotImplementedError


@tool("seo.normalize", effect=Effect.READ)
def normalize(ctx: ToolContext, params: KeywordParams) -> Keywords:
    """Normalise keywords."""
    raise NotImplementedError


@tool("web.search", effect=Effect.READ)
def search(ctx: ToolContext, params: SearchParams) -> SearchResult:
    """Search the web."""
    raise NotImplementedError


@tool("seo.plan", effect=Effect.READ)
def plan(ctx: ToolContext, params: PlanParams) -> Plan:
    """Make a plan."""
    raise NotImplementedError


@tool("google_docs.create_document", effect=Effect.KEYED, connection="google")
def create_document(ctx: ToolContext, params: DocumentParams) -> CreatedDocument:
    """Create a document."""
    raise NotImplementedError


@tool("notify.email", effect=Effect.ONCE)
def send_mail(ctx: ToolContext, params: MailParams) -> Sent:
    """Send a mail."""
    raise NotImplementedError


@tool("http.request", effect=Effect.KEYED, connection="http", connection_optional=True)
def request(ctx: ToolContext, params: CallParams) -> Answer:
    """Send a request."""
    raise NotImplementedError


_ALL: tuple[AnyTool, ...] = (
    suggest, normalize, search, plan, create_document, send_mail, request,
)  # fmt: skip
TOOLS: dict[str, AnyTool] = {one.name: one for one in _ALL}


HEAD = "treadle: 1\nname: sample\nversion: 1.0.0\nnodes:\n"
Lint = Callable[[str], list[str]]
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture(scope="session")
def tools() -> dict[str, AnyTool]:
    """The catalogue that templates of these tests are checked against."""
    return TOOLS


@pytest.fixture(scope="session")
def example() -> str:
    """The example of the design, verbatim."""
    return (SAMPLES / "design_example.yaml").read_text(encoding="utf-8")


@pytest.fixture
def lint(tools: dict[str, AnyTool]) -> Lint:
    """Every issue of a template, one line each: severity, place, path, message, hint."""

    def run(text: str) -> list[str]:
        return [
            f"{issue.severity} {issue.line}:{issue.column} {issue.path}: {issue.message}"
            + (f" | {issue.hint}" if issue.hint else "")
            for issue in check_template(text, tools=tools)
        ]

    return run


@pytest.fixture
def lint_nodes(lint: Lint) -> Lint:
    """The same for the nodes of a template alone; the first node is on line 5."""
    return lambda nodes: lint(HEAD + textwrap.indent(textwrap.dedent(nodes).strip("\n"), "  "))
