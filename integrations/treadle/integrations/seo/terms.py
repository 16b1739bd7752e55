"""`seo.terms`: the phrases that pages are about, each figure with the page it was counted on."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import Field

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.seo.brands import find_brands
from treadle.integrations.seo.candidates import candidates
from treadle.integrations.seo.chrome import Lines, content_lines
from treadle.integrations.seo.evidence import Evidence, PageIndex, strongest
from treadle.integrations.seo.fit import PageAffinity
from treadle.integrations.seo.lexicon import CONNECTORS, GENERIC, NOUN_VERBS, VERBS
from treadle.integrations.seo.page_types import PageType, page_types
from treadle.integrations.seo.pages import WEIGHTS, Page, Zone, read_pages, site_of
from treadle.integrations.seo.words import content_key, phrase_key

SINGLE_WORD = 0.6  # a name alone says less about what is asked than two words do
MAX_SAME_ENDING = 3  # "… trace information" again and again is one topic, not ten
_PROMINENT = frozenset({Zone.TITLE, Zone.HEADINGS, Zone.JSON_LD})


class TermsParams(Params):
    """Pages as `web.fetch` returns them; null entries and entries with `error` are skipped."""

    pages: tuple[Page | None, ...]
    seeds: tuple[str, ...] = ()
    max_terms: int = Field(default=120, ge=1, le=1000)


class Term(Result):
    """A phrase and where it stands.

    Attributes:
        score: Zone-weighted use over the pages, longer phrases first; compare within one result.
        fit: Closeness to the seeds, 0 to 1; null without seeds.
        count: Uses over all zones and pages but anchors of other pages.
        evidence: The strongest pages, at most eight, each zone apart.
    """

    text: str
    score: float
    fit: float | None
    count: int
    pages: int
    sites: int
    zones: dict[Zone, int]
    evidence: list[Evidence]


class ReadPage(Result):
    """A page that was analysed."""

    url: str
    title: str
    type: PageType
    words: int


class Unread(Result):
    """A page that was asked for and could not be read."""

    url: str
    reason: str


class Excluded(Result):
    """A frequent phrase that is no keyword, and why."""

    text: str
    reason: str


class Terms(Result):
    """The terms, best first; `keywords` are their texts."""

    terms: list[Term]
    keywords: list[str]
    pages: list[ReadPage]
    unread: list[Unread]
    brands: dict[str, str]
    excluded: list[Excluded]


@dataclass(slots=True)
class _Found:
    """What was seen of one phrase (all its spellings)."""

    surfaces: Counter[str] = field(default_factory=Counter[str])
    uses: Counter[tuple[str, Zone]] = field(default_factory=Counter[tuple[str, Zone]])
    whole_lines: int = 0
    as_name: int = 0
    as_word: int = 0

    @property
    def name(self) -> str:
        """Its most used spelling."""
        return max(self.surfaces.items(), key=lambda row: (row[1], row[0]))[0]

    @property
    def total(self) -> int:
        """Uses in all zones."""
        return self.uses.total()

    @property
    def in_title(self) -> bool:
        """Whether a page has it in its title."""
        return any(zone is Zone.TITLE for _, zone in self.uses)

    @property
    def prominent(self) -> int:
        """Pages that have it in the title, a heading or a name in structured data."""
        return len({url for url, zone in self.uses if zone in _PROMINENT})

    @property
    def body(self) -> int:
        return sum(count for (_, zone), count in self.uses.items() if zone is Zone.BODY)

    @property
    def pages(self) -> set[str]:
        return {url for url, _ in self.uses}


Key = tuple[str, ...]


@tool("seo.terms", effect=Effect.READ, cpu_heavy=True)
def find_terms(ctx: ToolContext, params: TermsParams) -> Terms:
    """Find the phrases that pages are about, with counts per zone and page.

    Navigation and boilerplate that a site repeats on its pages are left out. Every count can be
    checked: the evidence names the page, the zone and the exact words.
    """
    pages = read_pages(params.pages)
    types = page_types(pages)
    lines = content_lines(pages)
    brands = find_brands(pages)
    index = PageIndex(lines)
    found = _collect(lines)
    _count_connected(found, index)
    kept, excluded = _select(found, brand_words=set(brands.values()))
    affinity = PageAffinity(params.seeds, lines)
    best = _best(kept, found, affinity, limit=params.max_terms)
    terms = [_term(entry, score, index, affinity) for score, entry in best]
    return Terms(
        terms=terms,
        keywords=[term.text for term in terms],
        pages=[
            ReadPage(
                url=page.url,
                title=page.title or "",
                type=types[page.url],
                words=len((page.text or "").split()),
            )
            for page in pages
        ],
        unread=[
            Unread(url=page.url, reason=page.error or "the page has no text")
            for page in params.pages
            if page is not None and (page.error is not None or not (page.title or page.text))
        ],
        brands=brands,
        excluded=excluded,
    )


def _collect(lines: Mapping[str, Lines]) -> dict[Key, _Found]:
    """What the pages say; a line that a site repeats on several pages is said once."""
    found: defaultdict[Key, _Found] = defaultdict(_Found)
    said: set[tuple[str, Zone, str]] = set()
    for url, zones in lines.items():
        for zone, zone_part in zones.items():
            fresh = [line for line in zone_part if (site_of(url), zone, line.lower()) not in said]
            said.update((site_of(url), zone, line.lower()) for line in fresh)
            for line in fresh:
                for candidate in candidates(line, zone):
                    entry = found[phrase_key(candidate.text)]
                    entry.surfaces[candidate.text] += 1
                    entry.uses[url, zone] += 1
                    entry.as_name += candidate.is_name is True
                    entry.as_word += candidate.is_name is False
                    entry.whole_lines += candidate.is_whole_line and zone in _PROMINENT
    return found


def _count_connected(found: Mapping[Key, _Found], index: PageIndex) -> None:
    """Phrases with a connector are found in labels only; count them in running text too."""
    for key, entry in found.items():
        if any(word in CONNECTORS for word in key) and _is_supported(key, entry):
            for row in index.count(sorted(entry.surfaces)):
                entry.uses[row.url, row.zone] = max(entry.uses[row.url, row.zone], row.count)


def _select(
    found: Mapping[Key, _Found], *, brand_words: set[str]
) -> tuple[list[Key], list[Excluded]]:
    """Keep phrases with enough use that are no mere part of a longer one."""
    strong = {key: entry for key, entry in found.items() if _is_supported(key, entry)}
    longer = _longer(strong)
    kept: list[Key] = []
    excluded: list[tuple[int, Excluded]] = []
    for key, entry in strong.items():
        reason = _why_not(key, entry, longer.get(key, []), strong, brand_words)
        if reason is None:
            kept.append(key)
        else:
            text = entry.name
            excluded.append((len(entry.pages), Excluded(text=text, reason=reason)))
    excluded.sort(key=lambda row: (-row[0], row[1].text))
    return kept, [row for _, row in excluded[:40]]


def _is_supported(key: Key, entry: _Found) -> bool:
    """Enough use to be more than a turn of phrase; the text of a page repeats its headings."""
    if any(word in CONNECTORS for word in key):
        return entry.in_title or entry.total >= 4 or len(entry.pages) >= 2
    if len(key) == 1:
        return entry.prominent >= 1 and entry.body >= 3
    if entry.prominent:
        return entry.in_title or entry.total >= 3
    return entry.body >= 6 or (len(entry.pages) >= 2 and entry.body >= 4)


def _why_not(
    key: Key, entry: _Found, longer: Sequence[Key], strong: Mapping[Key, _Found], brands: set[str]
) -> str | None:
    if entry.name in brands:
        return "name of a site alone"
    rest = set(key).difference(*(phrase_key(brand) for brand in brands))
    if len(rest) < len(set(key)) and rest <= GENERIC | VERBS | NOUN_VERBS:
        return "name of a site with a generic word"
    if all(word in GENERIC for word in key) and (
        len(key) == 1 or not (entry.whole_lines and entry.body >= 2)
    ):
        return "generic words only"
    if " " not in entry.name and not _is_name(entry):
        return "single word, no name of a thing"
    inside = max(longer, key=lambda k: strong[k].total, default=None)
    if inside is not None and entry.whole_lines == 0:
        share = strong[inside].total / entry.total
        if share > 0.6:
            return f"part of {strong[inside].name!r}"
    return None


def _is_name(entry: _Found) -> bool:
    """A product, place or abbreviation: nearly always capitalised inside sentences."""
    if "-" in entry.name:
        return entry.whole_lines > 0
    return entry.prominent > 0 and entry.as_name >= 3 and entry.as_name >= 4 * entry.as_word


def _longer(strong: Mapping[Key, _Found]) -> dict[Key, list[Key]]:
    """For each phrase the supported phrases that hold it."""
    inside: defaultdict[Key, list[Key]] = defaultdict(list)
    for key in strong:
        for size in range(1, len(key)):
            for start in range(len(key) - size + 1):
                part = key[start : start + size]
                if part in strong:
                    inside[part].append(key)
    return inside


def _best(
    kept: Sequence[Key], found: Mapping[Key, _Found], affinity: PageAffinity, *, limit: int
) -> list[tuple[float, _Found]]:
    """The highest scores, nearness to the seeds included."""
    scored: list[tuple[float, str, _Found]] = []
    for key in kept:
        entry = found[key]
        fit = affinity.fit(content_key(entry.name), entry.pages)
        near = 1.0 if fit is None else 0.4 + fit
        scored.append((round(near * _score(key, entry), 2), entry.name, entry))
    scored.sort(key=lambda row: (-row[0], row[1]))
    endings: Counter[Key] = Counter()
    best: list[tuple[float, _Found]] = []
    for score, name, entry in scored:
        ending = phrase_key(name)[-2:]
        endings[ending] += 1
        if endings[ending] <= MAX_SAME_ENDING:
            best.append((score, entry))
    return best[:limit]


def _score(key: Key, entry: _Found) -> float:
    use = sum(WEIGHTS[zone] * math.log2(1 + count) for (_, zone), count in entry.uses.items())
    spread = 1 + 0.25 * (len({site_of(url) for url in entry.pages}) - 1)
    topic = 1.3 if entry.whole_lines else 1.0
    generic = sum(word in GENERIC for word in key) / len(key)
    length = math.log2(len(key) + 1) if " " in entry.name else SINGLE_WORD
    return math.sqrt(use) * length * spread * topic * (1 - 0.5 * generic)


def _term(entry: _Found, score: float, index: PageIndex, affinity: PageAffinity) -> Term:
    text = entry.name
    evidence = index.count(sorted(entry.surfaces))
    zones: Counter[Zone] = Counter()
    for row in evidence:
        zones[row.zone] += row.count
    urls = {row.url for row in evidence}
    return Term(
        text=text,
        score=score,
        fit=affinity.fit(content_key(text), urls),
        count=zones.total(),
        pages=len(urls),
        sites=len({site_of(url) for url in urls}),
        zones={zone: zones[zone] for zone in Zone if zones[zone]},
        evidence=strongest(evidence),
    )
