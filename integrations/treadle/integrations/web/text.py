"""Bytes to text, and text as it can be stored."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, lookup

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_BOMS = ((BOM_UTF8, "utf-8"), (BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"))
_META_WITHIN = 4096  # HTML wants the declaration in the first 1024 bytes; pages are late

# What browsers take for these names (WHATWG encoding standard).
_ALIASES = {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}


def decode(content: bytes, content_type: str) -> str:
    """Decode as browsers do: by byte-order mark, header, `<meta>`; else UTF-8, windows-1252."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return storable(content[len(mark) :].decode(name, errors="replace"))
    named = _CHARSET.search(content_type)
    meta = _META.search(content[:_META_WITHIN])
    for charset in (named and named[1], meta and meta[1].decode("ascii")):
        if charset and (codec := _codec(charset)):
            return storable(content.decode(codec, errors="replace"))
    try:
        return storable(content.decode("utf-8"))
    except UnicodeDecodeError:
        return storable(content.decode("cp1252", errors="replace"))


def storable(text: str) -> str:
    """Without what JSON in PostgreSQL refuses: NUL and lone surrogates."""
    return _UNSTORABLE.sub("", text)


def one_line(text: str | None) -> str:
    """Single spaces, nothing at the ends."""
    return " ".join(storable(text or "").split())


def _codec(charset: str) -> str | None:
    name = _ALIASES.get(charset.lower(), charset)
    try:
        codec = lookup(name)
    except LookupError:
        return None
    # `lookup` also knows codecs that are no charsets (rot13, zip).
    return codec.name if getattr(codec, "_is_text_encoding", True) else None
