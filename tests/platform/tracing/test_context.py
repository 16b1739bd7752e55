"""W3C trace context, as the specification has it."""

import pytest

from treadle.platform.tracing.context import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_header_is_read_and_written() -> None:
    context = TraceContext.read(f"00-{TRACE}-{SPAN}-01")
    assert context is not None
    assert context == TraceContext(TRACE, SPAN, is_sampled=True)
    assert context.write() == f"00-{TRACE}-{SPAN}-01"


def test_who_does_not_sample_is_heard() -> None:
    context = TraceContext.read(f"00-{TRACE}-{SPAN}-00")
    assert context is not None
    assert not context.is_sampled


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_what_is_no_header_is_as_good_as_missing(header: str | None) -> None:
    assert TraceContext.read(header) is None


def test_later_versions_may_say_more() -> None:
    assert TraceContext.read(f"01-{TRACE}-{SPAN}-01-more") == TraceContext(TRACE, SPAN)
