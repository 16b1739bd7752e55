"""Private data and content from outside leave together only to fixed places, or after a person."""

from collections.abc import Mapping
from textwrap import dedent, indent

import pytest
from pydantic import Field

from treadle.agents.errors import Issue
from treadle.agents.language import check_template
from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.registry import AnyTool, all_tools


class IdParams(Params):
    id: str = ""


class Text(Result):
    text: str


class PostParams(Params):
    channel: str = Field(json_schema_extra=DESTINATION)
    text: str = ""


async def read(ctx: ToolContext, params: IdParams) -> Text:
    """Read a note of the bound account."""
    return Text(text="")


async def post(ctx: ToolContext, params: PostParams) -> Text:
    """Post a text."""
    return Text(text="")


async def poll(ctx: ToolContext, params: IdParams) -> Text:
    """Tell of changes."""
    return Text(text="")


@pytest.fixture
def tools() -> Mapping[str, AnyTool]:
    own: list[AnyTool] = [
        tool("notes.read", effect=Effect.READ, connection="google", reads_untrusted=False)(read),
        tool("chatter.post", effect=Effect.ONCE)(post),
        tool("notes.changed", effect=Effect.READ, connection="google", is_trigger=True)(poll),
    ]
    return all_tools() | {one.name: one for one in own}


def errors(tools: Mapping[str, AnyTool], nodes: str, *, rest: str = "") -> list[Issue]:
    head = "treadle: 1\nname: paths\nversion: 1.0.0\nconnections: {google: {type: google}}\n"
    text = f"{head}{dedent(rest)}\nnodes:\n{indent(dedent(nodes), '  ')}"
    return [one for one in check_template(text, tools=tools) if one.severity == "error"]


SOURCES = """
note: {use: notes.read, connection: google}
page: {use: web.fetch, with: {url: "https://example.com/"}}
mix: {use: llm, with: {prompt: "${{ note.text }} ${{ page.text }}"}}
"""
APPROVAL = "ask: {use: approval, with: {show: '${{ mix }}', timeout: 1d, on_timeout: %s}}\n"

UNSAFE = {
    "an address made from both": 'out: {use: http.request, with: {url: "${{ mix }}"}}',
    "an open recipient": 'out: {use: notify.email, with: {to: "${{ mix }}", subject: x, text: x}}',
    "a recipient of the inputs": (
        'out: {use: notify.email, with: {to: "${{ inputs.to }}", subject: x, text: "${{ mix }}"}}'
    ),
    "a host that goes on": 'out: {use: http.request, with: {url: "https://a.b${{ mix }}/"}}',
    "a login before the host": 'out: {use: http.request, with: {url: "https://a@${{ mix }}/"}}',
    "data in the query of an open address": (
        'out: {use: web.fetch, with: {url: "${{ page.links[0].url }}?q=${{ note.text }}"}}'
    ),
    "a channel": (
        'out: {use: chatter.post, with: {channel: "${{ page.title }}", text: "${{ note.text }}"}}'
    ),
    "through a map": (
        'each: {use: map, over: ["${{ mix }}"], as: one, nodes:'
        ' {out: {use: http.request, with: {url: "${{ one }}"}}}, output: 1}'
    ),
    "through a loop's state": (
        'again: {use: loop, max: 2, state: {t: ""}, next: {t: "${{ mix }}"}, nodes:'
        ' {out: {use: http.request, with: {url: "${{ state.t }}"}}}, output: 1}'
    ),
    "a condition that no person made": (
        'out: {use: http.request, when: "mix == \'yes\'", with: {url: "${{ mix }}"}}'
    ),
    "an approval that approves itself": (
        APPROVAL % "approve"
        + 'out: {use: http.request, when: "ask.action == \'approve\'", with: {url: "${{ mix }}"}}'
    ),
    "an approval whose answer nobody reads": (
        APPROVAL % "fail" + 'out: {use: http.request, needs: [ask], with: {url: "${{ mix }}"}}'
    ),
    "an agent that reads both and chooses": (
        'out: {use: agent, with: {prompt: "${{ note.text }}", tools: [web.search,'
        " {use: web.fetch, model_may_choose: [url]}]}}"
    ),
}
SAFE = {
    "a host in the template": (
        'out: {use: http.request, with: {url: "https://api.example.com/x?q=${{ mix }}"}}'
    ),
    "a recipient in the template": (
        'out: {use: notify.email, with: {to: a@b.example, subject: x, text: "${{ mix }}"}}'
    ),
    "the owner": (
        'out: {use: notify.email, with: {to: "${{ run.owner }}", subject: x, text: "${{ mix }}"}}'
    ),
    "a document in the bound account": (
        "out: {use: google_docs.create_document, connection: google, with:"
        ' {title: x, markdown: "${{ mix }}"}}'
    ),
    "an open address without private data": (
        'out: {use: web.fetch, with: {url: "${{ page.links[0].url }}"}}'
    ),
    "private data alone": (
        'out: {use: chatter.post, with: {channel: "${{ note.text }}", text: "${{ note.text }}"}}'
    ),
    "after a person's yes": (
        APPROVAL % "fail"
        + 'out: {use: http.request, when: "ask.action == \'approve\'", with: {url: "${{ mix }}"}}'
    ),
    "in a case that a person chose": (
        APPROVAL % "fail" + "way: {use: switch, cases: [{when: \"ask.action == 'approve'\", nodes:"
        ' {out: {use: http.request, with: {url: "${{ mix }}"}}}, output: 1}]}'
    ),
    "an agent that asks first": (
        'out: {use: agent, with: {prompt: "${{ note.text }}", tools: [web.search,'
        " {use: web.fetch, model_may_choose: [url], approve: true}]}}"
    ),
    "an agent whose destination is fixed": (
        'out: {use: agent, with: {prompt: "${{ mix }}", tools:'
        ' [{use: notify.email, with: {to: "${{ run.owner }}"}}]}}'
    ),
}
REST = "inputs: {to: {type: string, default: a@b.example}}"


@pytest.mark.parametrize("name", UNSAFE)
def test_an_open_path_is_an_error(name: str, tools: Mapping[str, AnyTool]) -> None:
    found = errors(tools, SOURCES + UNSAFE[name], rest=REST)
    assert len(found) == 1, found
    assert "to a place that is not fixed" in found[0].message
    assert found[0].hint is not None


@pytest.mark.parametrize("name", SAFE)
def test_a_fixed_or_gated_path_is_fine(name: str, tools: Mapping[str, AnyTool]) -> None:
    assert errors(tools, SOURCES + SAFE[name], rest=REST) == []


def test_the_message_names_both_sources(tools: Mapping[str, AnyTool]) -> None:
    (issue,) = errors(tools, SOURCES + UNSAFE["an address made from both"])
    assert issue.path == "nodes.out.use"
    assert issue.message == (
        "private data (from `note`) and content from outside (from `page`) leave through `out` to"
        " a place that is not fixed"
    )


WEBHOOK = """
inputs: {text: {type: string}, to: {type: string}}
triggers: [{use: webhook, inputs: {text: "${{ event.body.text }}", to: x}}]
"""


def test_what_a_webhook_brings_is_from_outside(tools: Mapping[str, AnyTool]) -> None:
    nodes = """
    note: {use: notes.read, connection: google}
    out: {use: chatter.post, with: {channel: "${{ inputs.%s }}", text: "${{ note.text }}"}}
    """
    assert errors(tools, nodes % "text", rest=WEBHOOK)
    assert errors(tools, nodes % "to", rest=WEBHOOK) == []


def test_a_trigger_is_no_node_and_a_tool_no_trigger(tools: Mapping[str, AnyTool]) -> None:
    (issue,) = errors(tools, "a: {use: notes.changed, connection: google}")
    assert (issue.path, issue.hint) == ("nodes.a.use", "Put it under `triggers`.")
    rest = "triggers: [{use: notes.read, connection: google}]"
    (issue,) = errors(tools, "a: {use: notes.read, connection: google}", rest=rest)
    assert issue.message == "`notes.read` starts no runs"
    rest = "triggers: [{use: notes.changed, connection: google}]"
    assert errors(tools, "a: {use: notes.read, connection: google}", rest=rest) == []


def test_an_agents_tool_has_its_destination_from_somebody(tools: Mapping[str, AnyTool]) -> None:
    nodes = "a: {use: agent, with: {prompt: x, tools: [%s]}}"
    (issue,) = errors(tools, nodes % "chatter.post")
    assert issue.message == (
        "`channel` of `chatter.post` decides where data goes, and nobody gives it"
    )
    assert errors(tools, nodes % "{use: chatter.post, model_may_choose: [channel]}") == []
    assert errors(tools, nodes % "{use: chatter.post, with: {channel: news}}") == []


def test_the_example_of_the_design_has_no_issue_with_the_real_tools(example: str) -> None:
    assert check_template(example, tools=all_tools()) == []
