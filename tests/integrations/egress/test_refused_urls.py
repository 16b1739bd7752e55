"""Addresses that must never be reached, in every spelling; and tricks of names and redirects."""

import re
from urllib.parse import quote

import httpx
import pytest
from tests.doubles.web_server import WebServer, redirect
from tests.integrations.egress.conftest import Names

from treadle.integrations.egress import (
    AllowList,
    BadAllowList,
    Policy,
    Rules,
    build_client,
    check_url,
    parse_url,
)
from treadle.integrations.errors import EgressDenied, ErrorClass, ToolError

HOSTILE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://127.0.0.1./",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://foo.localhost/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fec0::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/opc/v2/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://redis:6379/",
    "http://example.com:6379/",
    "http://user:pw@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com%0d%0aHost:%20x/",
    "http://1.2.3.256/",
    "gopher://127.0.0.1:6379/_INFO",
    "file:///etc/passwd",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
]
MORE = [
    "",
    "/relative",
    "http://",
    "http:///path",
    "http://a..b/",
    "http://exa mple.com/",
    "http://example.com/\n",
    "http://example.com:0/",
    "http://example.com:99999/",
    f"http://example.com/{'a' * 2048}",
    "http://-.com/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[ff02::1]/",
    "http://[3fff::1]/",
    "http://[2001:db8::1]/",
    "http://wiki.corp/",
    "http://printer.local/",
    "http://metadata/",
    "ftp://example.com/",
    "javascript:alert(1)",
    "//example.com/",
]
PUBLIC = ["https://example.com/", "http://93.184.215.14/", "https://bücher.example/a?b=c#d"]


@pytest.mark.parametrize("url", HOSTILE + MORE)
def test_a_hostile_url_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(EgressDenied, match="refused"):
        check_url(url, Policy())


@pytest.mark.parametrize("url", PUBLIC)
def test_a_public_url_passes(url: str) -> None:
    assert check_url(url, Policy()).scheme in {"http", "https"}


@pytest.mark.parametrize("url", HOSTILE)
async def test_no_hostile_url_connects_even_if_its_name_leads_to_a_service(
    url: str, secret_server: WebServer
) -> None:
    to_secret = Names(**{"example_com": [["127.0.0.1"]], "redis": [["127.0.0.1"]]})
    async with build_client(Policy(), resolver=to_secret) as client:
        with pytest.raises((EgressDenied, httpx.InvalidURL)):
            await client.get(url)
    assert secret_server.connections == 0


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["2606:2800:220:1::1", "::1"],
        ["10.1.2.3"],
        ["::ffff:10.0.0.1"],
        ["169.254.169.254"],
        [f"93.184.215.{number}" for number in range(17)],
    ],
)
async def test_a_name_is_refused_if_any_of_its_addresses_is_private(answers: list[str]) -> None:
    names = Names(evil_example=[answers])
    async with build_client(Policy(), resolver=names) as client:
        with pytest.raises(EgressDenied):
            await client.get("http://evil.example/")
    assert names.questions == ["evil.example"]


async def test_a_name_is_resolved_once_and_its_checked_address_is_used(web: WebServer) -> None:
    """A second answer (rebinding) has no one to ask for it."""
    web.routes["/"] = lambda asked: redirect("/") if not asked.query else redirect("/x")
    names = Names(site_example=[["127.0.0.1"], ["127.0.0.99"]])
    policy = Policy(AllowList(origins=frozenset({("site.example", web.port)})))
    async with build_client(policy, resolver=names) as client:
        response = await client.get(
            f"http://site.example:{web.port}/", extensions=Rules(max_redirects=0).extensions()
        )
    assert response.status_code == 302
    assert names.questions == ["site.example"]
    assert web.asked[0].headers["host"] == f"site.example:{web.port}"


async def test_a_name_that_turns_private_between_two_requests_is_refused(
    web: WebServer, secret_server: WebServer
) -> None:
    names = Names(site_example=[["127.0.0.1"], ["127.0.0.1"]])
    listed = Policy(AllowList(origins=frozenset({("site.example", web.port)})))
    async with build_client(listed, resolver=names) as client:
        await client.get(f"http://site.example:{web.port}/")
        with pytest.raises(EgressDenied):
            await client.get(f"http://site.example:{secret_server.port}/")
    assert secret_server.connections == 0


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_redirect_to_a_hostile_url_is_refused(
    url: str, web: WebServer, secret_server: WebServer
) -> None:
    location = quote(url, safe=":/?#[]@%\\+")
    web.routes["/"] = redirect(location.replace(":6379", f":{secret_server.port}"))
    policy = Policy(AllowList(origins=frozenset({("127.0.0.1", web.port)})))
    async with build_client(policy, resolver=Names(example_com=[["127.0.0.1"]])) as client:
        with pytest.raises(ToolError, match=r"refused|malformed"):
            await client.get(f"{web.url}/")
    assert secret_server.connections == 0


async def test_a_refusal_says_what_to_do() -> None:
    async with build_client(Policy()) as client:
        with pytest.raises(EgressDenied) as caught:
            await client.get("http://127.0.0.1/")
    assert caught.value.error_class is ErrorClass.DENIED
    assert caught.value.code == "address_refused"
    assert "add 127.0.0.1:80 to TREADLE_EGRESS_ALLOW" in caught.value.message


async def test_the_proxy_of_the_environment_is_not_used(
    web: WebServer, secret_server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", secret_server.url)
    monkeypatch.setenv("ALL_PROXY", secret_server.url)
    async with build_client(Policy.parse("127.0.0.1/32")) as client:
        await client.get(f"{web.url}/")
    assert (web.connections, secret_server.connections) == (1, 0)


@pytest.mark.parametrize(
    ("setting", "url", "is_allowed"),
    [
        ("127.0.0.1/32", "http://127.0.0.1:8901/", True),
        ("127.0.0.1/32", "http://127.0.0.2:8901/", False),
        ("127.0.0.1/32", "http://[::1]:8901/", False),
        ("10.0.0.0/8, [fd12::1]:9000", "http://[fd12::1]:9000/", True),
        ("10.0.0.0/8, [fd12::1]:9000", "http://[fd12::1]:9001/", False),
        ("wiki.corp:8443", "https://wiki.corp:8443/", True),
        ("wiki.corp:8443", "https://wiki.corp/", False),
        ("searxng:8080", "http://searxng:8080/search", True),
        ("0.0.0.0/0", "http://169.254.169.254/", False),
        ("::/0", "http://[fd00:ec2::254]/", False),
        ("", "http://10.0.0.1/", False),
    ],
)
def test_the_allow_list_opens_what_it_names_and_nothing_else(
    setting: str, url: str, is_allowed: bool
) -> None:
    policy = Policy.parse(setting)
    if is_allowed:
        assert str(check_url(url, policy)) == url
    else:
        with pytest.raises(EgressDenied):
            check_url(url, policy)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("localhost", "neither host:port nor a CIDR"),
        ("10.0.0.1/8", "neither host:port nor a CIDR"),
        ("http://x:80", "neither host:port nor a CIDR"),
        ("x:99999", "port that does not exist"),
        ("169.254.169.254/32", "metadata"),
        ("169.254.169.254:80", "metadata"),
        ("metadata.google.internal:80", "metadata"),
        ("[fd00:ec2::254]:80", "metadata"),
    ],
)
def test_a_bad_allow_list_is_refused_with_the_entry(setting: str, reason: str) -> None:
    with pytest.raises(BadAllowList, match=re.escape(reason)) as caught:
        Policy.parse(setting)
    assert caught.value.entry == setting


async def test_a_local_name_is_fine_where_its_addresses_are_listed(web: WebServer) -> None:
    names = Names(wiki_corp=[["127.0.0.1"]], half_corp=[["127.0.0.1", "127.0.0.2"]])
    async with build_client(Policy.parse("127.0.0.1/32"), resolver=names) as client:
        assert (await client.get(f"http://wiki.corp:{web.port}/")).status_code == 404
        with pytest.raises(EgressDenied):
            await client.get(f"http://half.corp:{web.port}/")


async def test_a_public_name_keeps_to_the_usual_ports_beside_a_listed_network() -> None:
    names = Names(example_com=[["93.184.215.14"]])
    async with build_client(Policy.parse("10.0.0.0/8"), resolver=names) as client:
        with pytest.raises(EgressDenied, match="only 80 and 443") as caught:
            await client.get("http://example.com:6379/")
    assert caught.value.code == "port_refused"


async def test_a_configured_service_may_be_private_for_its_own_request_only(web: WebServer) -> None:
    web.routes["/"] = redirect(f"http://localhost:{web.port}/x")
    async with build_client(Policy(), resolver=Names(localhost=[["127.0.0.1"]])) as client:
        configured = Rules(configured_url=web.url).extensions()
        assert (await client.get(f"{web.url}/search", extensions=configured)).status_code == 404
        with pytest.raises(EgressDenied):
            await client.get(f"{web.url}/search")
        with pytest.raises(EgressDenied):
            await client.get(f"{web.url}/", extensions=configured)


def test_messages_do_not_repeat_credentials_or_queries() -> None:
    with pytest.raises(EgressDenied) as caught:
        parse_url("http://user:hunter2@example.com/?token=s3cret")
    assert "hunter2" not in caught.value.message
    assert "s3cret" not in caught.value.message
