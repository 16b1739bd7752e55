"""English grammar enough for questions: articles and the number of a noun."""

from treadle.integrations.seo.vocabulary import vocabulary
from treadle.integrations.seo.words import singular, words_of

_UNCOUNTED_ENDINGS = ("tion", "ing", "ment", "ness", "ity", "ism", "ware", "ance", "ence", "ics")
_UNCOUNTED = vocabulary(
    """
    advice ai automl coffee content data email equipment espresso feedback furniture hardware
    information luggage machinery milk music news rag research seo storage tea traffic travel
    water weather web
    """
)
_COUNTED = vocabulary("application building integration organisation organization station")
_VOWEL_LETTERS = frozenset("aefhilmnorsx")  # an f, an h, an l …: how their names begin
_SPOKEN_VOWEL = ("hour", "honest", "heir")
_SPOKEN_CONSONANT = ("uni", "use", "eu", "one", "uti")


def is_plural(noun: str) -> bool:
    """Whether a noun phrase names several: its last word has a plural's ending."""
    last = words_of(noun)[-1]
    return singular(last) != last


def with_article(noun: str) -> str:
    """A single countable thing with `a` or `an`; plurals and substances as they stand."""
    last = words_of(noun)[-1]
    is_substance = last in _UNCOUNTED or last.endswith(_UNCOUNTED_ENDINGS)
    if is_plural(noun) or (is_substance and last not in _COUNTED):
        return noun
    return f"{'an' if _sounds_like_vowel(words_of(noun)[0]) else 'a'} {noun}"


def _sounds_like_vowel(word: str) -> bool:
    if len(word) > 1 and not set(word) & set("aeiouy"):
        return word[0] in _VOWEL_LETTERS  # spelt out: "an mcp server", "a crm"
    if word.startswith(_SPOKEN_VOWEL):
        return True
    return word[0] in "aeiou" and not word.startswith(_SPOKEN_CONSONANT)
