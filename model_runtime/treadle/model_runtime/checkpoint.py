"""A served model whole: weights, tokenizer, chat template and defaults, from a folder or a GGUF."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import JsonValue

from treadle.model_runtime.chat import ChatTemplate
from treadle.model_runtime.config import JsonObject, ModelConfig
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.gguf import GgufFile
from treadle.model_runtime.loading import Builder, build, load_folder, load_model
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.tokenizer import Tokenizer
from treadle.model_runtime.vocabularies import read_folder, read_gguf
from treadle.model_runtime.weights import Storage


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that a server needs of a model.

    Attributes:
        template: Absent for a base model, which completes and does not chat.
        defaults: Sampling values of generation_config.json; a request's own come first.
    """

    name: str
    model: Decoder
    tokenizer: Tokenizer
    template: ChatTemplate | None
    defaults: Mapping[str, float] = field(default_factory=dict[str, float])


def load_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype | None = None,
    storage: Storage = Storage.WIDE,
    builder: Builder = build,
) -> Checkpoint:
    """Load a checkpoint's folder or a GGUF file; raises as `load_folder` does."""
    if path.suffix == ".gguf":
        return _load_gguf(path, dtype, storage, builder)
    model = load_folder(path, dtype=dtype, storage=storage, builder=builder)
    settings = _read_json(path / "tokenizer_config.json")
    generation = _read_json(path / "generation_config.json")
    ends = _end_tokens(model.config, generation)
    backend = read_folder(path, settings)
    eos = _text(settings.get("eos_token"))
    if (number := backend.token_to_id(eos)) is not None:
        ends.add(number)
    tokenizer = Tokenizer(backend, end_tokens=frozenset(ends), limit=model.config.vocab_size)
    source = _template(path, settings)
    bos = _text(settings.get("bos_token"))
    template = source and ChatTemplate(source, tokenizer, bos=bos, eos=eos)
    return Checkpoint(path.name, model, tokenizer, template or None, _defaults(generation))


def template_of(folder: Path) -> str:
    """The chat template of a checkpoint's folder; empty if it has none."""
    return _template(folder, _read_json(folder / "tokenizer_config.json"))


def _load_gguf(
    path: Path, dtype: torch.dtype | None, storage: Storage, builder: Builder
) -> Checkpoint:
    """Its blocks of 4 and 8 bits are kept unless another form is asked for."""
    file = GgufFile(path)
    config = file.config()
    if storage is Storage.WIDE and dtype is None:
        storage = Storage.KEPT
    model = load_model(file, config, dtype=dtype, storage=storage, builder=builder)
    ends = frozenset(config.eos_token_ids)
    tokenizer = Tokenizer(read_gguf(file), end_tokens=ends, limit=config.vocab_size)
    template = None
    if file.has("tokenizer.chat_template"):
        tokens = file.texts("tokenizer.ggml.tokens")
        names = [
            tokens[file.whole(key)] if file.has(key) else ""
            for key in ("tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id")
        ]
        source = file.text("tokenizer.chat_template")
        template = ChatTemplate(source, tokenizer, bos=names[0], eos=names[1])
    return Checkpoint(path.stem, model, tokenizer, template)


def _read_json(path: Path) -> JsonObject:
    if not path.is_file():
        return {}
    try:
        value: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadConfig(f"{str(path)!r} is not JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _end_tokens(config: ModelConfig, generation: JsonObject) -> set[int]:
    """Those of config.json and of generation_config.json together."""
    stated = generation.get("eos_token_id")
    listed = stated if isinstance(stated, list) else [stated]
    return {*config.eos_token_ids, *(token for token in listed if isinstance(token, int))}


def _text(token: JsonValue) -> str:
    """A token's text, which is stated plainly or as an object."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else ""


def _template(folder: Path, settings: JsonObject) -> str:
    """chat_template.jinja, or what tokenizer_config.json has: a text, or a list with names."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    stated = settings.get("chat_template")
    if isinstance(stated, str):
        return stated
    named = stated if isinstance(stated, list) else []
    found = {
        str(item.get("name")): item.get("template") for item in named if isinstance(item, dict)
    }
    return _text(found.get("default"))


def _defaults(generation: JsonObject) -> dict[str, float]:
    """The sampling that the model was tuned for."""
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    found = {name: generation.get(name) for name in names}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
