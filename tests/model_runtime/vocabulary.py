"""A byte-level vocabulary with control tokens and a few merges, made on the spot."""

from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from treadle.model_runtime.tokenizer import Tokenizer, byte_letters

CONTROLS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
MERGES = [("t", "h"), ("th", "e"), ("i", "n"), ("Ġ", "the")]
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def backend() -> Backend:
    letters = byte_letters()
    names = [*letters, *(left + right for left, right in MERGES)]
    found = Backend(
        models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=MERGES)
    )
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    for control in CONTROLS:
        found.add_special_tokens([AddedToken(control, special=True, normalized=False)])
    return found


def tokenizer() -> Tokenizer:
    end = backend().token_to_id("<|im_end|>")
    assert end is not None
    return Tokenizer(backend(), end_tokens=frozenset({end}))
