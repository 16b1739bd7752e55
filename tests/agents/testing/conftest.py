from collections.abc import Awaitable, Callable
from textwrap import dedent

import pytest

from treadle.agents.language import parse_template
from treadle.agents.testing import Report, run_tests
from treadle.integrations.registry import all_tools

HEAD = "treadle: 1\nname: probe\nversion: 1.0.0\n"
Try = Callable[[str], Awaitable[Report]]


@pytest.fixture
def tried() -> Try:
    """Runs the tests of a template, written without its head."""

    async def run(body: str) -> Report:
        checked = parse_template(HEAD + dedent(body), tools=all_tools())
        return await run_tests(checked.template, all_tools())

    return run
