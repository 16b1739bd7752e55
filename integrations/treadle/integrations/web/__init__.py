"""The web as tools: read a page, list a sitemap, search."""

from treadle.integrations.web.fetch import fetch_page
from treadle.integrations.web.search import search_web
from treadle.integrations.web.sitemap import read_sitemap

TOOLS = (fetch_page, read_sitemap, search_web)
