"""One sitemap file: XML or plain text, gzip or not (sitemaps.org)."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import urljoin, urlsplit

from lxml import etree

from treadle.integrations.web.text import decode, one_line

MAX_BYTES = 10_000_000
MAX_ENTRIES = 50_000  # sitemaps.org: no file has more
_Element: TypeAlias = etree._Element  # pyright: ignore[reportPrivateUsage] # its only name
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Entry:
    """An address and when it changed, as written."""

    url: str
    lastmod: str | None = None


@dataclass(frozen=True, slots=True)
class SitemapFile:
    """What one file lists: pages, or (an index) further sitemaps."""

    urls: list[Entry] = field(default_factory=list[Entry])
    sitemaps: list[Entry] = field(default_factory=list[Entry])


def read_sitemap_file(content: bytes, url: str) -> SitemapFile:
    """Read a file; raises `ValueError` or `zlib.error` for anything else."""
    if content.startswith(b"\x1f\x8b"):
        content = _gunzip(content)
    if not content.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return SitemapFile(urls=list(_text_entries(content)))
    root = _parse(content)
    kind = etree.QName(root).localname
    if kind == "sitemapindex":
        return SitemapFile(sitemaps=list(_entries(root, "sitemap", url)))
    if kind == "urlset":
        return SitemapFile(urls=list(_entries(root, "url", url)))
    raise ValueError(f"its root element is <{kind}>")


def _gunzip(content: bytes) -> bytes:
    unfolded = zlib.decompressobj(_GZIP).decompress(content, MAX_BYTES + 1)
    if len(unfolded) > MAX_BYTES:
        raise ValueError(f"it unfolds to more than {MAX_BYTES:,} bytes")
    return unfolded


def _parse(content: bytes) -> _Element:
    # Entities and the network stay off: a sitemap is a stranger's file.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, recover=True, load_dtd=False)
    try:
        root = _recovered(content, parser)
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    if root is None:  # what `recover` gives where nothing is left
        raise ValueError("it is empty")
    return root


def _recovered(content: bytes, parser: etree.XMLParser) -> _Element | None:
    return etree.fromstring(content, parser=parser)


def _entries(root: _Element, kind: str, url: str) -> Iterator[Entry]:
    for number, node in enumerate(root.iter(f"{{*}}{kind}")):
        if number >= MAX_ENTRIES:
            return
        location = one_line(node.findtext("{*}loc"))
        if location and (address := _absolute(url, location)):
            yield Entry(address, one_line(node.findtext("{*}lastmod")) or None)


def _text_entries(content: bytes) -> Iterator[Entry]:
    lines = decode(content, "charset=utf-8").splitlines()
    for line in lines[:MAX_ENTRIES]:
        if line.strip().startswith(("http://", "https://")):
            yield Entry(line.strip())


def _absolute(url: str, location: str) -> str | None:
    try:
        address = urljoin(url, location)
        scheme = urlsplit(address).scheme
    except ValueError:
        return None
    return address if scheme in {"http", "https"} else None
