"""What to do about a keyword: which kind of page, and a title to start from."""

import re

from treadle.integrations.seo.intent import Intent
from treadle.integrations.seo.lexicon import IMPERATIVES, NOUN_VERBS
from treadle.integrations.seo.page_types import PageType
from treadle.integrations.seo.vocabulary import vocabulary

_ACRONYMS = vocabulary(
    """
    ai api crm seo llm mcp aws gcp sso sql http https json csv xml pdf url ui ux id rag sdk cli
    css html faq gps diy stt tts s3 ec2 iam saml oidc oauth kb db qna erp roi b2b cors tls pii
    """
)
_ASKED = (
    r"(how (do|does|can|much|many|is|are|long|often)|what|why|where|who|which|is|are|can|does|do"
    r"|should|when (is|are|do|does|should))\b"
)
_BY_WORDING: tuple[tuple[str, PageType], ...] = (
    (r"\b(vs|versus|compar\w+|alternatives?)\b", PageType.COMPARISON),
    (r"\b(best|top)\b", PageType.LISTICLE),
    (r"\b(pricing|prices?|costs?)\b", PageType.PRICING),
    (r"^(what|why|when|where|who|which|is|are|can|does|do|should)\b", PageType.ARTICLE),
    (r"^how\b|\b(guide|tutorial|checklist|step by step|examples?|template)\b", PageType.GUIDE),
)


def recommended_page(keyword: str, intent: Intent, confidence: float) -> PageType:
    """The kind of page that answers a keyword: its wording first, then its intent."""
    for pattern, kind in _BY_WORDING:
        if re.search(pattern, keyword):
            return kind
    match intent:
        case Intent.TRANSACTIONAL:
            return PageType.PRODUCT
        case Intent.COMMERCIAL:
            return PageType.CATEGORY
        case Intent.NAVIGATIONAL:
            return PageType.HOME if confidence >= 0.6 else PageType.ARTICLE
        case Intent.INFORMATIONAL:
            return PageType.GUIDE


def working_title(keyword: str, page: PageType) -> str:
    """A plain title to start from; an editor makes it better."""
    name = titled(keyword)
    if re.match(_ASKED, keyword):
        return f"{name}?"
    first = keyword.split()[0]
    if re.match(r"(how|when) ", keyword) or first.endswith("ing"):
        return name
    if first in IMPERATIVES - NOUN_VERBS and " " in keyword:
        return f"How to {name[:1].lower()}{name[1:]}"
    match page:
        case PageType.COMPARISON if " vs " in keyword:
            return f"{name}: which one fits?"
        case PageType.COMPARISON | PageType.LISTICLE:
            return f"{name}: an honest comparison"
        case PageType.PRICING:
            return f"{name}: what it depends on"
        case PageType.GUIDE if re.search(r"\b(guide|tutorial|checklist|examples?)\b", keyword):
            return name
        case PageType.GUIDE:
            return f"{name}: a practical guide"
        case _:
            return name


def titled(keyword: str) -> str:
    """Sentence case, abbreviations in capitals."""
    words = [word.upper() if word in _ACRONYMS else word for word in keyword.split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
