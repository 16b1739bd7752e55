"""`POST /v1/embeddings`, served by an encoder beside the model."""

import asyncio
import base64
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from torch import Tensor

from treadle.model_runtime.embedded import ENCODER_NAME, embedded_encoder
from treadle.model_runtime.encoder import MINILM_SHA256, Embedded, Encoder, load_encoder
from treadle.model_runtime.errors import BadRequest, NotServed

MAX_INPUTS = 2048  # as OpenAI's

Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Len(1)]


class EmbeddingRequest(BaseModel):
    """Texts, or tokens of the encoder's own vocabulary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    input: (
        str
        | Tokens
        | Annotated[list[str], Len(1, MAX_INPUTS)]
        | Annotated[list[Tokens], Len(1, MAX_INPUTS)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class Embedder:
    """One encoder under its name; one request at a time, beside the event loop."""

    def __init__(self, name: str, encoder: Encoder) -> None:
        self.name = name
        self._encoder = encoder
        self._turn = asyncio.Lock()

    @property
    def longest(self) -> int:
        """Tokens of a text that are read; what follows is left out, as its authors do."""
        return self._encoder.config.max_tokens

    async def answer(self, body: EmbeddingRequest) -> JsonValue:
        """OpenAI's list of vectors, each of length 1.

        Raises:
            BadRequest: Another length of vectors is asked for, or a token that does not exist.
        """
        width = self._encoder.dimensions
        if body.dimensions not in {None, width}:
            raise BadRequest(
                f"{self.name!r} has vectors of {width} dimensions only",
                code="unsupported_value",
                param="dimensions",
            )
        async with self._turn:
            found = await asyncio.to_thread(self._embed, body.input)
        rows: list[JsonValue] = [
            {"object": "embedding", "index": index, "embedding": _written(vector, body)}
            for index, vector in enumerate(found.vectors)
        ]
        return {
            "object": "list",
            "data": rows,
            "model": self.name,
            "usage": {"prompt_tokens": found.tokens, "total_tokens": found.tokens},
        }

    def _embed(self, given: str | list[int] | list[str] | list[list[int]]) -> Embedded:
        texts, rows = _sorted_out(given)
        if texts:
            return self._encoder.encode(texts)
        size = self._encoder.vocabulary
        if wrong := [token for row in rows for token in row if token >= size]:
            raise BadRequest(f"no token {wrong[0]}", param="input")
        return self._encoder.encode_tokens(rows)


def load_embedder(folder: Path | None) -> Embedder | None:
    """The encoder of a folder, else the one of the wheel, else none.

    Raises:
        UnsupportedModel: The folder has no such encoder, or the wheel another file than released.
    """
    if folder is not None:
        return Embedder(folder.name, load_encoder(folder))
    if (found := embedded_encoder()) is None:
        return None
    return Embedder(ENCODER_NAME, load_encoder(found, sha256=MINILM_SHA256))


def _sorted_out(
    given: str | list[int] | list[str] | list[list[int]],
) -> tuple[list[str], list[list[int]]]:
    """Texts, or rows of tokens; the other is empty."""
    if isinstance(given, str):
        return [given], []
    texts = [item for item in given if isinstance(item, str)]
    rows = [item for item in given if isinstance(item, list)]
    alone = [item for item in given if isinstance(item, int)]
    return texts, [alone] if alone else rows


def _written(vector: Tensor, body: EmbeddingRequest) -> JsonValue:
    """Numbers, or base64 of little-endian float32, which OpenAI's client asks for."""
    if body.encoding_format == "base64":
        return base64.b64encode(vector.numpy().astype("<f4").tobytes()).decode("ascii")
    numbers: list[JsonValue] = [float(number) for number in vector]
    return numbers


async def embed(embedder: Embedder | None, body: EmbeddingRequest) -> JsonValue:
    """Answer by this process's encoder; raises `RequestError` if it is none or another."""
    if embedder is None or embedder.name != body.model:
        raise NotServed(body.model, () if embedder is None else (embedder.name,))
    return await embedder.answer(body)
