"""A server around a small random model, reached through its ASGI app."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import torch
from pydantic import JsonValue
from tests.model_runtime.shapes import perturb
from tests.model_runtime.vocabulary import CHATML, tokenizer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.chat import ChatTemplate
from treadle.model_runtime.checkpoint import Checkpoint
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.server.app import ServerOptions, create_app
from treadle.model_runtime.server.generation import Served
from treadle.model_runtime.service import EngineService

TOKENIZER = tokenizer()
CONFIG: dict[str, JsonValue] = {
    "model_type": "llama",
    "vocab_size": TOKENIZER.size,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": False,
}


def random_checkpoint(template: str | None = CHATML) -> Checkpoint:
    """It answers nonsense, always the same."""
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(LlamaConfig.from_dict({**CONFIG, "initializer_range": 0.2}))
    perturb(theirs)
    stored: dict[str, Tensor] = theirs.state_dict()
    model = load_model(MemoryArchive(stored), parse_config(CONFIG))
    chat = None if template is None else ChatTemplate(template, TOKENIZER)
    return Checkpoint("random", model, TOKENIZER, chat)


@asynccontextmanager
async def served(
    checkpoint: Checkpoint,
    options: ServerOptions | None = None,
    engine_options: EngineOptions | None = None,
    *,
    timeout_s: float = 60,
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a running server."""
    limits = engine_options or EngineOptions(blocks=128, block_size=16, step_tokens=64)
    engine = Engine(checkpoint.model, limits, tokenizer=checkpoint.tokenizer)
    service = EngineService(engine)
    app = create_app(Served(checkpoint, service, timeout_s=timeout_s), options)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://runtime") as client:
            yield client


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    async with served(random_checkpoint()) as found:
        yield found
