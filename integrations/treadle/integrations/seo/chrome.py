"""What stands on (nearly) every page of a site: navigation, footers, cookie lines. Not keywords."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from treadle.integrations.seo.pages import Page, Zone, site_of, zone_lines

MIN_PAGES = 4  # below this, "on every page" says nothing
SHARE = {Zone.ANCHORS: 0.5, Zone.BODY: 0.4, Zone.HEADINGS: 0.4, Zone.DESCRIPTION: 0.5}
"""Share of a site's pages on which a repeated line of a zone counts as chrome."""

Lines = dict[Zone, list[str]]


def content_lines(pages: Iterable[Page]) -> dict[str, Lines]:
    """Each page's lines per zone, by address, without what a site repeats on its pages."""
    raw = {page.url: zone_lines(page) for page in pages}
    by_site: defaultdict[str, list[str]] = defaultdict(list)
    for url in raw:
        by_site[site_of(url)].append(url)
    clean: dict[str, Lines] = {}
    for urls in by_site.values():
        repeated = _repeated({url: raw[url] for url in urls})
        suffix = title_suffix([raw[url][Zone.TITLE] for url in urls])
        for url in urls:
            clean[url] = _without(raw[url], repeated, suffix)
    return clean


def title_suffix(titles: Iterable[list[str]]) -> str | None:
    """What most titles of a site end with after `|`, `-`, `–`, `·` or `:`: its name."""
    tails = [_split_title(line)[1] for lines in titles for line in lines]
    if len(tails) < MIN_PAGES:
        return None
    tail, count = Counter(tails).most_common(1)[0]
    return tail if tail and count >= len(tails) / 2 else None


def _split_title(title: str) -> tuple[str, str]:
    for separator in (" | ", " – ", " — ", " - ", " · "):
        head, found, tail = title.rpartition(separator)
        if found:
            return head, tail.strip()
    return title, ""


def _repeated(pages: Mapping[str, Lines]) -> dict[Zone, set[str]]:
    """The lines per zone that stand on too many of these pages."""
    if len(pages) < MIN_PAGES:
        return {}
    counts: dict[Zone, Counter[str]] = {zone: Counter() for zone in SHARE}
    for lines in pages.values():
        for zone, counter in counts.items():
            counter.update({line.lower() for line in lines[zone]})
    return {
        zone: {line for line, n in counter.items() if n > SHARE[zone] * len(pages)}
        for zone, counter in counts.items()
    }


def _without(lines: Lines, repeated: Mapping[Zone, set[str]], suffix: str | None) -> Lines:
    clean = {
        zone: [line for line in zone_part if line.lower() not in repeated.get(zone, set())]
        for zone, zone_part in lines.items()
    }
    clean[Zone.TITLE] = [
        head if suffix and tail == suffix else line
        for line in lines[Zone.TITLE]
        for head, tail in [_split_title(line)]
    ]
    return clean
