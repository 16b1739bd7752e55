"""Grammars for requests: compiled beside the engine, and kept for whoever asks for the same."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.grammar import Grammar, GrammarCompiler

KEPT = 64
COMPILE_S = 12.0  # the compiler has limits of its own; the first time it reads the vocabulary


class Constraints:
    """Compiled grammars, the latest used ones kept."""

    def __init__(self, compiler: Callable[[], GrammarCompiler]) -> None:
        # Made when first needed: it reads the whole vocabulary.
        self._make = compiler
        self._compiler: GrammarCompiler | None = None
        self._kept: OrderedDict[str, Grammar] = OrderedDict()
        self._lock = asyncio.Lock()

    async def of(self, rules: str) -> Grammar:
        """The grammar of these rules.

        Raises:
            BadRequest: It cannot be followed, or takes too long to compile.
        """
        if (found := self._kept.get(rules)) is not None:
            self._kept.move_to_end(rules)
            return found
        async with self._lock:
            compiling = asyncio.to_thread(self._compile, rules)
            try:
                grammar = await asyncio.wait_for(compiling, COMPILE_S)
            except TimeoutError:
                raise BadRequest("the schema takes too long to compile", code="too_large") from None
        self._kept[rules] = grammar
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return grammar

    def _compile(self, rules: str) -> Grammar:
        if self._compiler is None:
            self._compiler = self._make()
        return self._compiler.rules(rules)
