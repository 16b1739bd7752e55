"""What the checks of data paths read off a declaration."""

from pydantic import Field

from treadle.integrations.base import DESTINATION, Effect, Params, Result, ToolContext, tool
from treadle.integrations.registry import all_tools


class SendParams(Params):
    to: str = Field(alias="recipient", json_schema_extra=DESTINATION)
    text: str = ""


class Nothing(Result):
    pass


async def reach(ctx: ToolContext, params: SendParams) -> Nothing:
    """Reach outside."""
    return Nothing()


def compute(ctx: ToolContext, params: Params) -> Nothing:
    """Compute."""
    return Nothing()


def test_what_is_not_said_is_derived_on_the_safe_side() -> None:
    sender = tool("a.send", effect=Effect.KEYED, connection="smtp")(reach)
    assert (sender.reads_untrusted, sender.reads_private, sender.is_outward) == (True, True, True)
    pure = tool("a.compute", effect=Effect.READ)(compute)
    assert (pure.reads_untrusted, pure.reads_private, pure.is_outward) == (False, False, False)


def test_a_reading_tool_with_a_destination_can_carry_data_out() -> None:
    reader = tool("a.fetch", effect=Effect.READ)(reach)
    assert reader.is_outward
    assert reader.destinations == {"recipient"}


def test_what_is_declared_counts() -> None:
    plain = tool("a.send", effect=Effect.KEYED, reads_untrusted=False, is_outward=False)(reach)
    assert not (plain.reads_untrusted)
    assert not (plain.is_outward)


def test_the_tools_that_take_addresses_say_so() -> None:
    tools = all_tools()
    for name in ("http.request", "web.fetch", "web.sitemap"):
        assert tools[name].destinations == {"url"}, name
    assert not tools["seo.plan"].reads_untrusted
    assert not tools["google_docs.create_document"].is_outward
