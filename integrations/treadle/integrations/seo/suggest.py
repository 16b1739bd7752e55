"""`seo.suggest`: keywords around seeds, from patterns and pages. No model, no network."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.brands import find_brands
from treadle.integrations.seo.candidates import longest
from treadle.integrations.seo.chrome import Lines, content_lines
from treadle.integrations.seo.english import is_plural, with_article
from treadle.integrations.seo.fit import PageAffinity, word_fit
from treadle.integrations.seo.languages import (
    KIND_SCHEMA,
    KIND_WORDS,
    Kind,
    Language,
    language_of,
)
from treadle.integrations.seo.lexicon import GENERIC, IMPERATIVES, STOP, VERBS
from treadle.integrations.seo.normalize import clean, merge_key
from treadle.integrations.seo.pages import Page, Zone, json_ld_types, read_pages, site_of
from treadle.integrations.seo.words import content_key, is_question, phrase_key, words_of

_QUESTION = re.compile(
    r"^(how (to|do|does|can|much|many|long|often|is|are) |how \S+( \S+)? works?$"
    r"|what (is|are|does|do|to|can|should|makes?) |why (is|are|do|does|use|you|choose) "
    r"|when (to|should|is|are|do|does) |where |who |which |can |does |do |is |are |should "
    r"|wie |was |warum |wann |wo |welche\w* |kann )",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"\b([\w.-]+(?: [\w.-]+){0,2}) (?:vs\.?|versus) ([\w.-]+(?: [\w.-]+){0,2})"
)
_QUESTION_WORDS = range(3, 11)
_MIN_FIT = 0.5  # a phrase of the pages has half a seed's words
_ABOUT_SEED = 0.5  # a page with this affinity is about the seed


class SuggestParams(Params):
    """Seeds, and pages to look into (as `web.fetch` returns them; failed ones are skipped)."""

    seeds: tuple[str, ...] = Field(min_length=1)
    locale: str = "en-US"
    pages: tuple[Page | None, ...] = ()
    max_keywords: int = Field(default=120, ge=1, le=1000)


class Suggestions(Result):
    """Keywords, the seeds first and then each kind in turn, and where each comes from.

    `sources` has the address of the page, or the pattern: `pattern: best {}`.
    """

    keywords: list[str]
    sources: dict[str, str]


@tool("seo.suggest", effect=Effect.READ, cpu_heavy=True)
def suggest_keywords(ctx: ToolContext, params: SuggestParams) -> Suggestions:
    """Suggest questions, modifiers, comparisons and related phrases around seed keywords.

    Patterns are ideas: that people search for them is not known until a search shows it.
    """
    pages = read_pages(params.pages)
    lines = content_lines(pages)
    seeds = [text for seed in params.seeds if (text := clean(seed))]
    kind = kind_of(seeds, pages)
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    language = language_of(params.locale)
    sources = [_questions(lines, seeds), _comparisons(lines), _related(lines, seeds)]
    if language is not None:
        sources.append(_brand_patterns(_rivals(pages, lines, seeds), language))
        sources.append(_patterns(seeds, kind, language))
    for text, source in [*((seed, "seed") for seed in seeds), *_round_robin(sources)]:
        found.setdefault(merge_key(text), (text, source))
    best = list(found.values())[: params.max_keywords]
    return Suggestions(keywords=[text for text, _ in best], sources=dict(best))


def kind_of(seeds: Sequence[str], pages: Sequence[Page]) -> Kind:
    """What the seeds name: their own words first, then the pages' structured data and words."""
    seed_words = {word for seed in seeds for word in phrase_key(seed)}
    votes: Counter[Kind] = Counter()
    for kind, words in KIND_WORDS.items():
        votes[kind] += 1000 * len(seed_words & words)
    for page in pages:
        types = json_ld_types(page.json_ld)
        used = set(phrase_key(page.text or ""))
        for kind, names in KIND_SCHEMA.items():
            votes[kind] += 50 * len(types & names)
            votes[kind] += len(KIND_WORDS[kind] & used)
    kind, count = votes.most_common(1)[0]
    return kind if count else Kind.OTHER


Found = tuple[str, str]


def _questions(lines: Mapping[str, Lines], seeds: Sequence[str]) -> Iterator[Found]:
    """Questions that pages ask in their headings, or answer."""
    affinity = PageAffinity(seeds, lines)
    for url, zones in lines.items():
        for line in (*zones[Zone.TITLE], *zones[Zone.HEADINGS]):
            text = clean(line.partition(": ")[0])
            size = len(text.split())
            if _QUESTION.match(text) and size in _QUESTION_WORDS and _is_clear(text):
                near = word_fit(content_key(text), [content_key(seed) for seed in seeds])
                if near or affinity.of_page(url) >= _ABOUT_SEED:
                    yield text, url


def _is_clear(question: str) -> bool:
    """Whether a question says on its own what it is about ("how does it work" does not)."""
    if re.search(r"\b(this|that|it|these|those|my|your|our|we|us|you)\b", question):
        return False
    plain_words = [w for w in phrase_key(question) if w not in STOP | VERBS | GENERIC]
    return len(plain_words) >= 1


def _comparisons(lines: Mapping[str, Lines]) -> Iterator[Found]:
    """Pairs that pages compare in headings: "espresso vs filter coffee"."""
    for url, zones in lines.items():
        for line in (*zones[Zone.TITLE], *zones[Zone.HEADINGS]):
            match = _COMPARISON.fullmatch(clean(line))
            if match and all(content_key(side) - GENERIC for side in match.groups()):
                yield f"{match[1]} vs {match[2]}", url


def _related(lines: Mapping[str, Lines], seeds: Sequence[str]) -> Iterator[Found]:
    """Phrases in titles and headings that share words with a seed."""
    keys = [content_key(seed) for seed in seeds]
    for url, zones in lines.items():
        for zone in (Zone.TITLE, Zone.HEADINGS, Zone.DESCRIPTION):
            for line in zones[zone]:
                for text in longest(line, zone):
                    words = content_key(text)
                    if len(words) < 2 or any(words <= key for key in keys):
                        continue  # part of a seed or the seed itself
                    if word_fit(words, keys) >= _MIN_FIT:
                        yield text, url


def _patterns(seeds: Sequence[str], kind: Kind, language: Language) -> Iterator[Found]:
    return _round_robin([_patterns_of(seed, kind, language) for seed in seeds])


def _patterns_of(seed: str, kind: Kind, language: Language) -> Iterator[Found]:
    if _QUESTION.match(seed):
        return
    if words_of(seed)[0] in IMPERATIVES and len(words_of(seed)) > 1:
        chosen = language.how_to
    else:
        chosen = (*language.questions, *language.modifiers, *language.by_kind[kind])
    for pattern in chosen:
        added = set(words_of(pattern.replace("{}", " ")))
        if not added & set(words_of(seed)):
            text = _in_english(pattern, seed) if language.has_articles else pattern.format(seed)
            yield text, f"pattern: {pattern}"


def _in_english(pattern: str, seed: str) -> str:
    """The question in good English: "what are espresso machines", "what is an espresso machine"."""
    if is_plural(seed):
        return pattern.replace(" is {}", " are {}").replace(" does {}", " do {}").format(seed)
    asks = is_question(pattern) and words_of(seed)[0] not in IMPERATIVES
    return pattern.format(with_article(seed) if asks else seed)


def _rivals(pages: Sequence[Page], lines: Mapping[str, Lines], seeds: Sequence[str]) -> list[str]:
    """Owners of sites that are about the seeds; two of them are compared by people."""
    affinity = PageAffinity(seeds, lines)
    close = {site_of(page.url) for page in pages if affinity.of_page(page.url) >= _ABOUT_SEED}
    return sorted({name for site, name in find_brands(pages).items() if site in close})


def _brand_patterns(brands: Sequence[str], language: Language) -> Iterator[Found]:
    if len(brands) < 2:
        return
    for index, brand in enumerate(brands):
        for other in brands[index + 1 :]:
            yield language.versus.format(brand, other), f"pattern: {language.versus}, sites read"
        yield language.alternatives.format(brand), f"pattern: {language.alternatives}, sites read"


def _round_robin(sources: Sequence[Iterator[Found]]) -> Iterator[Found]:
    """One of each in turn, so that a cap cuts all kinds alike."""
    waiting = list(sources)
    while waiting:
        for source in list(waiting):
            found = next(source, None)
            if found is None:
                waiting.remove(source)
            else:
                yield found
