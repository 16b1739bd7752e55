"""A byte-level BPE of its own: small, for the draft of the MTP module repeats the head."""

from collections.abc import Iterable
from itertools import islice

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.examples import CONTROL, Example

SIZE = 1_024


def train_vocabulary(source: Iterable[Example], *, count: int = 4_000) -> Tokenizer:
    """Merges of the most frequent pairs in `count` examples; control tokens are whole."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[AddedToken(name, special=True, normalized=False) for name in CONTROL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (example.prompt + example.answer for example in islice(source, count))
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
