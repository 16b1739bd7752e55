"""Constrained decoding: a grammar says after each token which tokens may follow.

Compiled by llguidance, outside the engine's loop and under limits, because a schema is input:
deep nesting, huge enumerations and nasty patterns have stopped other engines.
"""

import json
from dataclasses import dataclass
from time import thread_time

import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from pydantic import JsonValue
from torch import Tensor

from treadle.model_runtime.errors import BadRequest

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_NODES = 2_000
MAX_ENUM = 1_000
MAX_PATTERN = 1_024
# A mask that takes longer holds up everyone in the batch: its request ends instead.
SLOWEST_MASK_S = 0.02
SLOW_MASKS = 3  # a busy machine delays one or two of them


class GrammarTooCostly(Exception):
    """The grammar's masks take too long, or its parser gave up."""


class Matcher:
    """Follows one answer through its grammar."""

    def __init__(self, matcher: LLMatcher, vocabulary: int) -> None:
        self._matcher = matcher
        self._bits = torch.zeros(-(-vocabulary // 32), dtype=torch.int32)
        self._vocabulary = vocabulary
        self._slow = 0

    @property
    def finished(self) -> bool:
        """Nothing may follow but the end. A parser that gave up has not finished."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    def allowed(self) -> Tensor:
        """Which tokens may follow, (vocabulary), bool.

        Raises:
            GrammarTooCostly: Masks have become too slow.
        """
        begun = thread_time()
        bits = self._bits
        self._matcher.unsafe_compute_mask_ptr(bits.data_ptr(), bits.numel() * 4)
        self._slow += thread_time() - begun > SLOWEST_MASK_S
        if self._matcher.is_error() or self._slow > SLOW_MASKS:
            raise GrammarTooCostly(self._matcher.get_error() or "masks take too long")
        spread = bits[:, None] >> torch.arange(32, dtype=torch.int32)
        return (spread & 1).bool().flatten()[: self._vocabulary]

    def advance(self, token: int) -> bool:
        """Go on by one token; False, and no step, if it is not allowed."""
        return self._matcher.try_consume_tokens([token]) == 1

    def go_back(self, tokens: int) -> None:
        """Undo the last steps; a parser that gave up stays so, and `allowed` says it."""
        if tokens and not self._matcher.is_error():
            self._matcher.rollback(tokens)


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled grammar; every answer gets a matcher of its own."""

    _first: LLMatcher
    vocabulary: int

    def matcher(self) -> Matcher:
        """A matcher at the beginning."""
        return Matcher(self._first.deep_copy(), self.vocabulary)


class GrammarCompiler:
    """Compiles grammars for one tokenizer; call it outside the engine's thread."""

    def __init__(self, tokenizer_json: str, *, vocabulary: int, end_tokens: list[int]) -> None:
        self._tokenizer = LLTokenizer(tokenizer_json, n_vocab=vocabulary, eos_token=end_tokens)
        self._vocabulary = vocabulary
        self._limits = LLParserLimits(max_items_in_row=500, max_lexer_states=50_000)

    def json_schema(self, schema: JsonValue) -> Grammar:
        """What matches this JSON Schema.

        Raises:
            BadRequest: Too large, or not a schema that can be followed.
        """
        check_schema(schema)
        # Where white space is free, a small model writes nothing else until its tokens are spent.
        grammar = LLMatcher.grammar_from_json_schema(
            json.dumps(schema),
            overrides={
                "whitespace_flexible": False,
                "item_separator": ", ",
                "key_separator": ": ",
            },
        )
        return self._compile(grammar)

    def json_object(self) -> Grammar:
        """Any JSON object."""
        return self.json_schema({"type": "object"})

    def regex(self, pattern: str) -> Grammar:
        """What matches the whole of this regular expression; raises as `json_schema` does."""
        if len(pattern) > MAX_PATTERN:
            raise BadRequest(f"a pattern may have {MAX_PATTERN} characters", code="too_large")
        return self._compile(LLMatcher.grammar_from_regex(pattern))

    def choices(self, options: list[str]) -> Grammar:
        """One of these texts and nothing else; raises as `json_schema` does."""
        if not options or len(options) > MAX_ENUM:
            raise BadRequest(f"give 1 to {MAX_ENUM} choices", code="too_large")
        quoted = " | ".join(json.dumps(option) for option in options)
        return self._compile(LLMatcher.grammar_from_lark(f"start: {quoted}"))

    def rules(self, lark: str) -> Grammar:
        """What these rules derive from `start`; raises as `json_schema` does.

        They are written by the server in llguidance's dialect of Lark, never by a client.
        """
        return self._compile(LLMatcher.grammar_from_lark(lark))

    def _compile(self, grammar: str) -> Grammar:
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=self._limits)
        if matcher.is_error():
            raise BadRequest(
                f"the grammar cannot be followed: {matcher.get_error()}", code="invalid_grammar"
            )
        return Grammar(matcher, self._vocabulary)


def check_schema(schema: JsonValue) -> None:
    """Refuse what is too large before it is compiled.

    Raises:
        BadRequest: Names the limit.
    """
    if len(json.dumps(schema)) > MAX_BYTES:
        raise BadRequest(f"a schema may have {MAX_BYTES} bytes", code="too_large")
    if _nodes(schema, depth=0) > MAX_NODES:
        raise BadRequest(f"a schema may have {MAX_NODES} parts", code="too_large")


def _nodes(value: JsonValue, depth: int) -> int:
    """Objects and arrays in `value`, itself included."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"a schema may be nested {MAX_DEPTH} deep", code="too_large")
    match value:
        case dict():
            for key, part in value.items():
                _check_keyword(key, part)
            return 1 + sum(_nodes(part, depth + 1) for part in value.values())
        case list():
            return 1 + sum(_nodes(part, depth + 1) for part in value)
        case _:
            return 0


def _check_keyword(key: str, value: JsonValue) -> None:
    if key == "enum" and isinstance(value, list) and len(value) > MAX_ENUM:
        raise BadRequest(f"an enum may have {MAX_ENUM} values", code="too_large")
    if key == "pattern" and isinstance(value, str) and len(value) > MAX_PATTERN:
        raise BadRequest(f"a pattern may have {MAX_PATTERN} characters", code="too_large")
    if key == "$ref" and isinstance(value, str) and not value.startswith("#"):
        raise BadRequest(f"$ref {value!r} leads out of the schema", code="invalid_grammar")
