"""Names of the sites' owners: a keyword with one of them asks for that site, not for a topic."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from treadle.integrations.seo.chrome import MIN_PAGES, title_suffix
from treadle.integrations.seo.lexicon import GENERIC, STOP
from treadle.integrations.seo.pages import Page, plain, site_of

_OWNER_TYPES = frozenset({"Organization", "WebSite", "Corporation", "LocalBusiness", "OnlineStore"})
_NAME_IN_SENTENCE = re.compile(r"(?<=[a-z,] )[A-Z][A-Za-z]+(?: [A-Z][A-Za-z]+)?")
_OWN_SHARE = 0.5  # of its site's pages have the name inside a sentence
_OTHER_SHARE = 0.1  # of all other pages at most have it
_PAIR_SHARE = 0.5  # of the uses of the first word are uses of the pair: "Open WebUI"


def find_brands(pages: Sequence[Page]) -> dict[str, str]:
    """The owner's name (lower case) of each site that shows one, declared or in its text."""
    by_site: defaultdict[str, list[Page]] = defaultdict(list)
    for page in pages:
        by_site[site_of(page.url)].append(page)
    named = {site: _names(own) for site, own in by_site.items()}
    brands: dict[str, str] = {}
    for site, own in by_site.items():
        others = [names for other, names in named.items() if other != site]
        name = _declared(own) or _from_text(named[site], others)
        if name:
            brands[site] = plain(name).lower()
    return brands


def _declared(pages: Sequence[Page]) -> str | None:
    """`og:site_name`, the owner in JSON-LD, or what all titles end with."""
    found: Counter[str] = Counter()
    for page in pages:
        graph = page.meta.get("og")
        value = graph.get("site_name") if isinstance(graph, dict) else None
        if isinstance(value, str) and value.strip():
            found[value.strip()] += 1
        found.update(sorted(set(_owners(page.json_ld))))
    if found:
        return found.most_common(1)[0][0]
    return title_suffix([[plain(page.title or "")] for page in pages])


def _owners(value: JsonValue) -> Iterable[str]:
    if isinstance(value, list):
        for part in value:
            yield from _owners(part)
    elif isinstance(value, dict):
        name = value.get("name")
        if value.get("@type") in _OWNER_TYPES and isinstance(name, str):
            yield name
        for part in value.values():
            yield from _owners(part)


def _names(pages: Sequence[Page]) -> list[set[str]]:
    """Per page, the capitalised words and pairs inside its sentences."""
    found: list[set[str]] = []
    for page in pages:
        names = _NAME_IN_SENTENCE.findall(plain(page.text or ""))
        found.append(set(names) | {name.split()[0] for name in names})
    return found


def _from_text(own: list[set[str]], others: list[list[set[str]]]) -> str | None:
    if len(own) < MIN_PAGES:
        return None
    counts = Counter(name for names in own for name in names)
    for name, count in sorted(counts.items(), key=lambda row: (-row[1], -len(row[0]), row[0])):
        if count < _OWN_SHARE * len(own):
            return None
        words = name.lower().split()
        if all(word in GENERIC or word in STOP for word in words) or _is_common(name, others):
            continue
        longer = [n for n in counts if n.startswith(name + " ")]
        best = max(sorted(longer), key=lambda n: counts[n], default=name)
        return best if counts[best] >= _PAIR_SHARE * count else name
    return None


def _is_common(name: str, others: list[list[set[str]]]) -> bool:
    pages = [names for site in others for names in site]
    return bool(pages) and sum(name in names for names in pages) > _OTHER_SHARE * len(pages)
