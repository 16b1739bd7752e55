"""Vocabularies in their stored forms: `tokenizer.json`, `tiktoken.model`, GGUF metadata."""

import base64
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from treadle.model_runtime.config import JsonObject
from treadle.model_runtime.errors import BadConfig, UnsupportedModel
from treadle.model_runtime.gguf import GgufFile
from treadle.model_runtime.tokenizer import byte_letters

CONTROL, USER_DEFINED = 3, 4  # GGUF's token types

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORDS_AND_DIGITS = (
    CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
UPPER = r"(?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
LOWER = r"(?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}])"
# Kimi's: Han runs first, then words with their contraction, up to three digits, and the rest.
# Its class intersections `&&[^\p{Han}]` are written as look-aheads, which more engines know.
KIMI = "|".join(
    [
        r"\p{Han}+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?",
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
# How text is split before merging, by GGUF's `tokenizer.ggml.pre`.
PATTERNS = {
    "gpt-2": GPT2,
    "default": GPT2,
    "qwen2": WORDS_AND_DIGITS % "",
    "deepseek-r1-qwen": WORDS_AND_DIGITS % "",
    "llama-bpe": WORDS_AND_DIGITS % "{1,3}",
}
SINGLE_DIGITS = {"smollm", "refact", "command-r"}


def read_folder(folder: Path, config: JsonObject) -> Tokenizer:
    """The vocabulary of a checkpoint's folder; `config` is its tokenizer_config.json.

    Raises:
        BadConfig: There is none, or it cannot be read.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return Tokenizer.from_file(str(path))
        # The library raises nothing narrower for a file that it cannot parse.
        except Exception as error:
            raise BadConfig(f"{str(path)!r} cannot be read: {error}") from error
    path = folder / "tiktoken.model"
    if path.is_file():
        return read_tiktoken(path, special_tokens(config))
    raise BadConfig(f"{str(folder)!r} has neither tokenizer.json nor tiktoken.model")


def special_tokens(config: JsonObject) -> dict[int, str]:
    """Ids and texts of `added_tokens_decoder` in a tokenizer_config.json."""
    listed = config.get("added_tokens_decoder")
    if not isinstance(listed, dict):
        return {}
    return {
        int(number): str(token["content"])
        for number, token in listed.items()
        if isinstance(token, dict) and "content" in token
    }


def read_tiktoken(path: Path, special: Mapping[int, str]) -> Tokenizer:
    """A `tiktoken.model`: lines of base64 bytes and rank, split as Kimi and Moonlight do.

    The 256 ids behind the ranks are reserved; those that `special` does not name get a name.
    """
    ranks = _ranks(path)
    letters = byte_letters()
    names = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        (names[left], names[right])
        for token, rank in ranks.items()
        if (pair := split_at_last_merge(token, rank, ranks)) is not None
        for left, right in [pair]
    ]
    vocabulary = {names[token]: rank for token, rank in ranks.items()}
    reserved = {rank: f"<|reserved_token_{rank}|>" for rank in range(len(ranks), len(ranks) + 256)}
    tokenizer = _byte_level(vocabulary, merges, pre_tokenizers.Split(Regex(KIMI), "isolated"))
    # Added in the order of their ids, they get these ids.
    for _, text in sorted({**reserved, **special}.items()):
        tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)])
    return tokenizer


def _ranks(path: Path) -> dict[bytes, int]:
    try:
        lines = path.read_text(encoding="ascii").split("\n")
        pairs = [line.split() for line in lines if line.strip()]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except ValueError as error:
        raise BadConfig(f"{str(path)!r} is no tiktoken vocabulary: {error}") from error
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def split_at_last_merge(
    token: bytes, rank: int, ranks: Mapping[bytes, int]
) -> tuple[bytes, bytes] | None:
    """The two parts that were merged into `token`: replay the merges that come before it."""
    parts = [token[place : place + 1] for place in range(len(token))]
    while len(parts) > 2:
        known = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
        best = min(known)
        if best >= rank:
            return None
        place = known.index(best)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    return (parts[0], parts[1]) if len(parts) == 2 else None


def read_gguf(file: GgufFile) -> Tokenizer:
    """The byte-level vocabulary in a GGUF file's metadata.

    Raises:
        UnsupportedModel: Another kind of vocabulary, or an unknown way to split text.
    """
    model, split = file.text("tokenizer.ggml.model"), file.text("tokenizer.ggml.pre")
    if model != "gpt2" or (split not in PATTERNS and split not in SINGLE_DIGITS):
        raise UnsupportedModel(
            f"{file.where!r} has a {model!r} vocabulary split by {split!r}; fetch the safetensors "
            "checkpoint with its tokenizer.json"
        )
    tokens, kinds = file.texts("tokenizer.ggml.tokens"), file.wholes("tokenizer.ggml.token_type")
    merges = [_merge(line) for line in file.texts("tokenizer.ggml.merges")]
    before = (
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.Split(Regex(GPT2), "isolated"),
            ]
        )
        if split in SINGLE_DIGITS
        else pre_tokenizers.Split(Regex(PATTERNS[split]), "isolated")
    )
    tokenizer = _byte_level({text: number for number, text in enumerate(tokens)}, merges, before)
    for text, kind in zip(tokens, kinds, strict=True):
        if kind in (CONTROL, USER_DEFINED):
            token = AddedToken(text, special=kind == CONTROL, normalized=False)
            tokenizer.add_special_tokens([token])
    return tokenizer


def _merge(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" ")
    return left, right


def _byte_level(
    vocabulary: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    before: pre_tokenizers.PreTokenizer,
) -> Tokenizer:
    """Byte-pair encoding over bytes, each of which stands for a visible letter."""
    tokenizer = Tokenizer(models.BPE(vocab=dict(vocabulary), merges=list(merges)))
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([before, letters])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
