"""How many random cases a fuzz test tries."""

import pytest

SAMPLE = 2_000


@pytest.fixture
def fuzz_cases(pytestconfig: pytest.Config) -> int:
    """Cases per fuzz test: a sample by default, as many as `make fuzz` asks for."""
    chosen = pytestconfig.getoption("--fuzz-cases", default=None)
    return SAMPLE if chosen is None else int(chosen)
