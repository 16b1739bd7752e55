"""One service for all tests here: what `treadle up` starts, reached by the client alone."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from typing_extensions import override

from treadle.platform.client import Client
from treadle.platform.demo.service import service_for
from treadle.platform.demo.sites import SampleWeb, Site, served_samples
from treadle.platform.embedded.sockets import free_port, is_free
from treadle.platform.settings import Settings

REPOSITORY = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("TREADLE_CORPUS") or REPOSITORY.parent / "shared" / "corpus")
_CORPUS_PORTS = 5  # search and four sites, one after the other


@dataclass(frozen=True, slots=True)
class Corpus:
    """Real documentation pages and a search over them, if this machine has them."""

    sites: tuple[Site, ...]
    search_url: str


@pytest.fixture(scope="session")
def samples() -> Iterator[SampleWeb]:
    with served_samples() as web:
        yield web


@pytest.fixture(scope="session")
def corpus_web() -> Iterator[Corpus | None]:
    """The corpus on loopback, `None` where there is none."""
    if not (CORPUS / "serve.py").is_file():
        yield None
        return
    base = _free_base()
    command = [sys.executable, str(CORPUS / "serve.py"), "--base", str(base)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        sites: list[Site] = []
        for line in server.stdout:
            name, _, origin = line.strip().partition(": ")
            if name != "search":
                sites.append(Site(name, origin.rstrip("/")))
            if len(sites) == _CORPUS_PORTS - 1:
                break
        yield Corpus(tuple(sites), f"http://127.0.0.1:{base}")
        server.terminate()


@pytest.fixture
def corpus(corpus_web: Corpus | None) -> Corpus:
    if corpus_web is None:
        pytest.skip(f"no corpus at {CORPUS}; TREADLE_CORPUS names another folder")
    return corpus_web


@pytest.fixture(scope="session")
def troubled() -> Iterator[Site]:
    """A site whose robots.txt refuses `/private/`, and whose `/broken` answers 500."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Troubled)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site("troubled", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


class _Troubled(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = HTTPStatus.OK, b"<title>Secret</title><p>Nobody should read this.</p>"
        if self.path == "/robots.txt":
            body = b"User-agent: *\nDisallow: /private/\n"
        elif not self.path.startswith("/private/"):
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if "robots" in self.path else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def closed_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def treadle(
    samples: SampleWeb,
    corpus_web: Corpus | None,
    troubled: Site,
    closed_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:
    """A client of a running service that may reach the servers above, and nothing else private."""
    sites = (*samples.sites, *(corpus_web.sites if corpus_web else ()), troubled)
    closed = Site("closed", f"http://127.0.0.1:{closed_port}")
    search = corpus_web.search_url if corpus_web else samples.search_url
    web = SampleWeb(sites=(*sites, closed), search_url=search)
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    with service_for(web, settings) as endpoint, Client(endpoint.url, endpoint.key) as client:
        yield client


def addresses(site: Site) -> list[str]:
    """The pages a site's sitemap lists."""
    text = httpx.get(f"{site.origin}/sitemap.xml").text
    return [part.partition("</loc>")[0] for part in text.split("<loc>")[1:]]


def _free_base() -> int:
    while True:
        base = free_port()
        if all(is_free(base + k) for k in range(_CORPUS_PORTS)):
            return base
