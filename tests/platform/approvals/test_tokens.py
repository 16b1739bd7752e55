"""Tokens of waits: made of a secret, readable by nobody else, each for one purpose."""

from uuid import uuid4

import pytest

from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.installation import InstallationSecret

TOKENS = WaitTokens(InstallationSecret(b"secret of the tests"))


def test_a_token_names_its_wait() -> None:
    wait = uuid4()
    assert TOKENS.read_page(TOKENS.page(wait)) == wait
    assert TOKENS.read_callback(TOKENS.callback(wait)) == wait


def test_a_token_of_one_purpose_opens_no_other() -> None:
    wait = uuid4()
    assert TOKENS.read_callback(TOKENS.page(wait)) is None
    assert TOKENS.read_page(TOKENS.callback(wait)) is None


def test_no_changed_letter_is_taken() -> None:
    token = TOKENS.page(uuid4())
    for place, letter in enumerate(token):
        other = "B" if letter == "A" else "A"
        assert TOKENS.read_page(token[:place] + other + token[place + 1 :]) is None


@pytest.mark.parametrize("text", ["", "x", "é" * 43, "/" * 43, "A" * 43, "A" * 44])
def test_what_is_no_token_names_nothing(text: str) -> None:
    assert TOKENS.read_page(text) is None


def test_another_installation_makes_other_tokens() -> None:
    other = WaitTokens(InstallationSecret(b"another secret of them"))
    assert TOKENS.read_page(other.page(uuid4())) is None
