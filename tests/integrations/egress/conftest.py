"""A secret server that nobody may reach, and names that a test resolver answers."""

from collections.abc import Iterator

import pytest
from tests.doubles.web_server import WebServer, html
from typing_extensions import override

from treadle.integrations.egress import Resolver


class Names(Resolver):
    """Answers from a table; each question takes the next answer, the last one stays."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.questions: list[str] = []

    @override
    async def resolve(self, host: str, port: int) -> list[str]:
        self.questions.append(host)
        if host not in self.answers:
            raise OSError(f"no such host: {host}")
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def secret_server() -> Iterator[WebServer]:
    """Stands for a private service. Its `connections` must stay 0."""
    with WebServer({"/": html("secret"), "/latest/meta-data/": html("secret")}) as server:
        yield server


@pytest.fixture
def web() -> Iterator[WebServer]:
    """An allowed server."""
    with WebServer() as server:
        yield server
