"""Grammars for requests: compiled beside the engine, and kept for whoever asks for the same."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.grammar import Grammar, GrammarCompiler
from treadle.model_runtime.server.schemas import ChatRequest

KEPT = 64
COMPILE_S = 2.0


class Constraints:
    """Compiled grammars, the latest used ones kept."""

    def __init__(self, compiler: Callable[[], GrammarCompiler]) -> None:
        # Made when first needed: it reads the whole vocabulary.
        self._make = compiler
        self._compiler: GrammarCompiler | None = None
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = asyncio.Lock()

    async def of(self, body: ChatRequest) -> Grammar | None:
        """What the answer must match, if anything.

        Raises:
            BadRequest: The schema is too large or cannot be followed.
        """
        match body.response_format.type:
            case "text":
                return None
            case "json_object":
                return await self._get({"type": "object"})
            case "json_schema":
                if body.response_format.json_schema is None:
                    raise BadRequest("give json_schema", param="response_format")
                return await self._get(body.response_format.json_schema.schema_)

    async def _get(self, schema: JsonValue) -> Grammar:
        key = json.dumps(schema, sort_keys=True)
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found
        async with self._lock:
            try:
                compiled = asyncio.to_thread(self._compile, schema)
                grammar = await asyncio.wait_for(compiled, COMPILE_S + 10)
            except TimeoutError:
                raise BadRequest("the schema takes too long", param="response_format") from None
        self._kept[key] = grammar
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return grammar

    def _compile(self, schema: JsonValue) -> Grammar:
        if self._compiler is None:
            self._compiler = self._make()
        return self._compiler.json_schema(schema)
