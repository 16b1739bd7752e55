"""Models, completions, health and metrics."""

import json

import httpx
import pytest
from pydantic import JsonValue
from tests.model_runtime import vocabulary
from tests.model_runtime.server.conftest import TOKENIZER, random_checkpoint, served
from tokenizers import AddedToken

from treadle.model_runtime.server.app import ServerOptions
from treadle.model_runtime.server.completions import FILL_MARKS, around
from treadle.model_runtime.tokenizer import Tokenizer

TEXT: dict[str, JsonValue] = {
    "model": "random",
    "prompt": "Once upon",
    "max_tokens": 6,
    "temperature": 0,
}


async def complete(client: httpx.AsyncClient, **changes: JsonValue) -> httpx.Response:
    return await client.post("/v1/completions", json={**TEXT, **changes})


async def test_models_are_listed_under_all_their_names() -> None:
    async with served(random_checkpoint(), ServerOptions(aliases=["deepseek-v3"])) as client:
        found = (await client.get("/v1/models")).json()
        assert [model["id"] for model in found["data"]] == ["random", "deepseek-v3"]
        assert (await client.get("/v1/models/deepseek-v3")).json()["id"] == "deepseek-v3"
        assert (await client.get("/v1/models/other")).status_code == 404
        assert (await complete(client, model="deepseek-v3")).status_code == 200


async def test_a_text_is_continued_the_same_from_text_and_tokens(
    client: httpx.AsyncClient,
) -> None:
    from_text = (await complete(client)).json()
    from_tokens = (await complete(client, prompt=[*TOKENIZER.encode("Once upon")])).json()
    assert from_text["object"] == "text_completion"
    assert from_text["choices"][0]["text"] == from_tokens["choices"][0]["text"]
    assert from_text["choices"][0]["finish_reason"] == "length"


async def test_many_prompts_are_answered_in_order(client: httpx.AsyncClient) -> None:
    one = (await complete(client, prompt="a")).json()["choices"][0]["text"]
    two = (await complete(client, prompt="b")).json()["choices"][0]["text"]
    both = (await complete(client, prompt=["a", "b"], n=2)).json()["choices"]
    assert [choice["text"] for choice in both] == [one, one, two, two]
    assert [choice["index"] for choice in both] == [0, 1, 2, 3]


async def test_the_prompt_can_be_echoed(client: httpx.AsyncClient) -> None:
    plain = (await complete(client)).json()["choices"][0]["text"]
    assert (await complete(client, echo=True)).json()["choices"][0]["text"] == "Once upon" + plain


async def test_a_stream_adds_up(client: httpx.AsyncClient) -> None:
    plain = (await complete(client)).json()["choices"][0]["text"]
    response = await complete(client, stream=True, echo=True)
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    parts = [json.loads(line)["choices"][0] for line in lines]
    assert "".join(part["text"] for part in parts) == "Once upon" + plain
    assert parts[-1]["finish_reason"] == "length"


async def test_logprobs_are_parallel_lists(client: httpx.AsyncClient) -> None:
    found = (await complete(client, logprobs=2)).json()["choices"][0]["logprobs"]
    assert {len(values) for values in found.values()} == {6}
    assert found["text_offset"][0] == 0
    assert all(len(likeliest) <= 2 for likeliest in found["top_logprobs"])


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": [5_000]}, "prompt"),
        ({"suffix": "the end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient, change: dict[str, JsonValue], param: str
) -> None:
    response = await complete(client, **change)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_an_unknown_path_has_the_same_form_of_error(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/nothing")
    assert response.status_code == 404
    assert response.json()["error"]["message"]


async def test_health_and_metrics_tell_what_happened(client: httpx.AsyncClient) -> None:
    await complete(client)
    await client.post("/v1/completions", json={**TEXT, "stream": True})
    health = (await client.get("/healthz")).json()
    kernels = health.pop("kernels")
    assert health == {"status": "ok", "running": 0, "waiting": 0}
    assert kernels.keys() == {"attention", "experts", "dense", "steps"}
    text = (await client.get("/metrics")).text
    assert "treadle_runtime_tokens_answered_total 12.0" in text
    assert "treadle_runtime_cache_used_ratio 0.0" in text
    assert f'attention="{kernels["attention"]}"' in text
    assert "treadle_runtime_first_token_seconds_count 2.0" in text


async def test_a_gap_is_filled_between_what_stands_around_it() -> None:
    """The marks are tokens; the same words in what the client sends are text."""
    marks = FILL_MARKS[0]
    backend = vocabulary.backend()
    backend.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    filler = Tokenizer(backend, end_tokens=frozenset())
    begin, hole, end = (filler.id_of(mark) for mark in marks)
    found = around(filler, f"a{marks[1]}b", "c")
    assert found[0] == begin
    assert found.count(hole or -1) == 1
    assert found[-1] == end
    assert filler.decode(found) == f"{marks[0]}a{marks[1]}b{marks[1]}c{marks[2]}"
