"""`/v1/models`: what templates may name, and never a key."""

from pathlib import Path

import httpx
import pytest

from treadle.platform.settings import Settings

pytestmark = pytest.mark.slow

MODELS = """
deepseek-v3:
  url: http://127.0.0.1:9/v1
  key: sk-very-secret
  model: deepseek-chat
  price: {input: 0.27, cached: 0.07, output: 1.10}
  fallback: local
local: {url: "https://models.example:8443/v1"}
"""


async def test_without_endpoints_the_list_is_empty(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/models")).json() == {"items": [], "next": None}


@pytest.fixture
def models_file(settings: Settings) -> Path:
    path = settings.home / "models.yaml"
    path.write_text(MODELS, encoding="utf-8")
    return path


@pytest.mark.usefixtures("models_file")
async def test_endpoints_are_listed_without_their_keys(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models")
    assert "secret" not in answer.text
    first, second = answer.json()["items"]
    assert first == {
        "alias": "deepseek-v3",
        "model": "deepseek-chat",
        "host": "127.0.0.1:9",
        "price": {"input": 0.27, "output": 1.10, "cached": 0.07},
        "is_default": True,
        "fallback": "local",
        "available": False,
    }
    assert (second["alias"], second["model"]) == ("local", "local")
    assert (second["host"], second["price"]) == ("models.example:8443", None)
