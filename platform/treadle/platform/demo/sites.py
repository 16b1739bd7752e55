"""The sample sites on loopback: three made-up companies with eight pages each.

Each site has a port of its own, as sites have hosts of their own. One more port has the search
engine over all of them.
"""

import html
import json
import re
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from treadle.platform.demo.search import Document, SearchIndex

SAMPLES = Path(__file__).with_name("sites")
_HOST = "127.0.0.1"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".xml": "application/xml",
    ".txt": "text/plain; charset=utf-8",
    ".css": "text/css",
}
_JSON = "application/json"
_POLL_S = 0.05  # how long a server takes to notice that it shall end


@dataclass(frozen=True, slots=True)
class Site:
    """A served site: its folder's name and its address without a slash at the end."""

    name: str
    origin: str


@dataclass(frozen=True, slots=True)
class SampleWeb:
    """Everything that is served."""

    sites: tuple[Site, ...]
    search_url: str

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each server: what `TREADLE_EGRESS_ALLOW` has to name."""
        return tuple(urlsplit(url).netloc for url in (*self.origins, self.search_url))

    @property
    def origins(self) -> tuple[str, ...]:
        """The sites' addresses."""
        return tuple(site.origin for site in self.sites)


@contextmanager
def served_samples(root: Path = SAMPLES) -> Generator[SampleWeb]:
    """Serve the sample sites and their search engine until the block ends."""
    folders = sorted(path for path in root.iterdir() if (path / "index.html").is_file())
    with ExitStack() as stack:
        sites = tuple(
            Site(folder.name, stack.enter_context(_serving(_site_handler(folder))))
            for folder in folders
        )
        documents = [
            document
            for site, folder in zip(sites, folders, strict=True)
            for document in read_documents(folder, site.origin)
        ]
        search = stack.enter_context(_serving(_search_handler(SearchIndex(documents))))
        yield SampleWeb(sites=sites, search_url=search)


def read_documents(folder: Path, origin: str) -> list[Document]:
    """A site's pages as the search engine knows them: title and visible text."""
    return [
        Document(f"{origin}/{_path_of(file)}", *_title_and_text(file.read_text(encoding="utf-8")))
        for file in sorted(folder.glob("*.html"))
    ]


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    server = ThreadingHTTPServer((_HOST, 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name="samples", daemon=True
    )
    thread.start()
    try:
        yield f"http://{_HOST}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; says nothing on the terminal."""

    def answer(self, path: str, query: str) -> tuple[str, bytes] | None:
        """Media type and body of what is at a path, `None` if nothing is."""
        raise NotImplementedError

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        found = self.answer(parts.path, parts.query)
        status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
        media_type, body = found or ("text/plain; charset=utf-8", b"not found\n")
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


def _site_handler(folder: Path) -> type[_Handler]:
    files = {f"/{_path_of(file)}": file for file in folder.iterdir() if file.suffix in _TYPES}
    files["/index.html"] = folder / "index.html"

    class SiteHandler(_Handler):
        @override
        def answer(self, path: str, query: str) -> tuple[str, bytes] | None:
            file = files.get(path)
            if file is None:
                return None
            text = file.read_text(encoding="utf-8")
            if file.suffix in {".txt", ".xml"}:
                text = text.replace("{origin}", f"http://{self.headers['Host']}")
            return _TYPES[file.suffix], text.encode()

    return SiteHandler


def _search_handler(index: SearchIndex) -> type[_Handler]:
    class SearchHandler(_Handler):
        @override
        def answer(self, path: str, query: str) -> tuple[str, bytes] | None:
            if path != "/search":
                return None
            fields = parse_qs(query)
            page = _number(fields.get("pageno", ["1"]))
            found = index.answer(fields.get("q", [""])[0], page=page)
            return _JSON, json.dumps(found).encode()

    return SearchHandler


def _number(values: Sequence[str]) -> int:
    return max(1, int(values[0])) if values[0].isdigit() else 1


def _path_of(file: Path) -> str:
    return "" if file.name == "index.html" else file.name


def _title_and_text(page: str) -> tuple[str, str]:
    title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
    article = page.partition("<article>")[2].partition("</article>")[0]
    text = html.unescape(re.sub(r"<[^>]+>", " ", article))
    return html.unescape(title[1]) if title else "", " ".join(text.split())
