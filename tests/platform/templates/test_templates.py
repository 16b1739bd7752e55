"""The gallery: versions never change, drafts do, texts come back byte for byte."""

import asyncio

import httpx
import pytest
from jsonschema import Draft202012Validator
from tests.platform.conftest import NewTenant
from tests.platform.templates.texts import greet

pytestmark = pytest.mark.slow

YAML = {"Content-Type": "application/yaml"}
BUNDLED = "keyword-research"


async def put(
    client: httpx.AsyncClient, text: str | bytes, *, name: str = "greet", draft: bool = False
) -> httpx.Response:
    url = f"/v1/templates/{name}"
    params = {"draft": "true"} if draft else {}
    return await client.put(url, content=text, params=params, headers=YAML)


async def test_a_text_comes_back_byte_for_byte(client: httpx.AsyncClient) -> None:
    text = greet(note="Grüße, \t and a tail of blanks   ").replace("\n", "\r\n")
    made = await put(client, text.encode())
    assert made.status_code == 201
    shown = (await client.get("/v1/templates/greet")).json()
    assert shown == made.json()
    assert shown["text"].encode() == text.encode()
    assert (shown["name"], shown["version"], shown["title"]) == ("greet", "1.0.0", "Greet")
    assert shown["labels"] == ["demo"]
    assert shown["origin"] == "own"
    assert shown["inputs"] == {
        "who": {"type": "string", "default": "world"},
        "loud": {"type": "boolean", "optional": True},
    }


async def test_the_same_text_makes_no_new_version(client: httpx.AsyncClient) -> None:
    assert (await put(client, greet())).status_code == 201
    assert (await put(client, greet())).status_code == 200
    versions = (await client.get("/v1/templates/greet/versions")).json()
    assert [line["version"] for line in versions["items"]] == ["1.0.0"]


async def test_another_text_under_a_published_version_is_refused(
    client: httpx.AsyncClient,
) -> None:
    await put(client, greet())
    await put(client, greet(version="1.0.1"))
    answer = await put(client, greet(note="changed"))
    assert answer.status_code == 409
    assert answer.json()["code"] == "version_exists"
    assert answer.json()["next_version"] == "1.0.2"
    assert answer.json()["detail"] == (
        "'greet' 1.0.0 is published with another text; the next free version is 1.0.2"
    )


async def test_twenty_puts_at_once_make_one_version(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(put(client, greet()) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]


async def test_a_wrong_template_is_422_with_every_issue(client: httpx.AsyncClient) -> None:
    text = greet().replace("use: set", "use: sett").replace("inputs.who", "inputs.whom")
    answer = await put(client, text + "\nextra: 1\n")
    assert answer.status_code == 422
    assert answer.json()["code"] == "template_invalid"
    issues = answer.json()["issues"]
    assert len(issues) >= 2
    for issue in issues:
        assert set(issue) == {"severity", "path", "line", "column", "message", "hint"}
    use = next(issue for issue in issues if issue["path"] == "nodes.greet.use")
    assert (use["line"], use["column"]) == (11, 10)
    checked = await client.post("/v1/templates/validate", content=text, headers=YAML)
    assert checked.status_code == 200
    assert checked.json()["valid"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"nodes: [", None),
        (b"[" * 100_000, None),
        (b"a: &x 1\nb: *x\n", None),
        ("name: caf\u00e9".encode("latin-1"), "the text is not UTF-8: byte 0xe9"),
        (b"name: \x00", "the character U+0000 may not stand in a template"),
        (b"", None),
    ],
)
async def test_hostile_texts_are_422_with_a_place(
    client: httpx.AsyncClient, text: bytes, message: str | None
) -> None:
    answer = await put(client, text)
    assert (answer.status_code, answer.json()["code"]) == (422, "template_invalid")
    issue = answer.json()["issues"][0]
    assert issue["line"] >= 1
    assert message is None or issue["message"] == message
    checked = await client.post("/v1/templates/validate", content=text, headers=YAML)
    assert (checked.status_code, checked.json()["valid"]) == (200, False)


async def test_validating_stores_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/templates/validate", content=greet(), headers=YAML)
    assert answer.json() == {"valid": True, "issues": []}
    assert (await client.get("/v1/templates/greet")).status_code == 404


async def test_json_is_taken_as_yaml_is(client: httpx.AsyncClient) -> None:
    template = {
        "treadle": 1,
        "name": "plain",
        "version": "1.0.0",
        "nodes": {"a": {"use": "set", "with": {"x": 1}}},
        "outputs": {"x": "${{ a.x }}"},
    }
    made = await client.put("/v1/templates/plain", json=template)
    assert made.status_code == 201
    assert made.json()["text"] == made.request.content.decode()


async def test_another_name_than_in_the_path_is_422(client: httpx.AsyncClient) -> None:
    answer = await put(client, greet(), name="other")
    assert (answer.status_code, answer.json()["code"]) == (422, "name_mismatch")
    assert answer.json()["issues"][0]["path"] == "name"


async def test_a_template_over_256_kib_is_413(client: httpx.AsyncClient) -> None:
    answer = await put(client, greet() + "#" * 256 * 1024)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_template_of_another_kind_is_415(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "text/html"}
    answer = await client.put("/v1/templates/greet", content=greet(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_a_draft_changes_until_it_is_published(client: httpx.AsyncClient) -> None:
    assert (await put(client, greet(), draft=True)).status_code == 201
    assert (await put(client, greet(), draft=True)).status_code == 200
    second = await put(client, greet(note="second"), draft=True)
    assert (second.status_code, second.json()["draft"]) == (200, True)
    assert (await client.get("/v1/templates/greet")).status_code == 404
    draft = await client.get("/v1/templates/greet", params={"version": "draft"})
    assert "second" in draft.json()["text"]
    gallery = (await client.get("/v1/templates")).json()["items"]
    assert next(line for line in gallery if line["name"] == "greet")["draft"] is True
    published = await client.post("/v1/templates/greet/publish")
    assert (published.status_code, published.json()["draft"]) == (201, False)
    assert "second" in (await client.get("/v1/templates/greet")).json()["text"]
    again = await client.post("/v1/templates/greet/publish")
    assert (again.status_code, again.json()["code"]) == (404, "draft_not_found")


async def test_a_draft_is_not_published_over_another_text(client: httpx.AsyncClient) -> None:
    await put(client, greet())
    await put(client, greet(note="changed"), draft=True)
    answer = await client.post("/v1/templates/greet/publish")
    assert (answer.status_code, answer.json()["code"]) == (409, "version_exists")
    draft = await client.get("/v1/templates/greet", params={"version": "draft"})
    assert draft.status_code == 200


async def test_versions_are_found_by_range(client: httpx.AsyncClient) -> None:
    for version in ("1.0.0", "1.10.0", "1.2.0", "2.0.0-rc.1"):
        await put(client, greet(version=version))
    for wanted, found in [("1.0.0", "1.0.0"), ("^1.0", "1.10.0"), ("~1.2", "1.2.0")]:
        answer = await client.get("/v1/templates/greet", params={"version": wanted})
        assert answer.json()["version"] == found
    assert (await client.get("/v1/templates/greet")).json()["version"] == "1.10.0"
    listed = (await client.get("/v1/templates/greet/versions", params={"limit": 3})).json()
    assert [line["version"] for line in listed["items"]] == ["2.0.0-rc.1", "1.10.0", "1.2.0"]
    rest = {"limit": 3, "cursor": listed["next"]}
    rest_page = (await client.get("/v1/templates/greet/versions", params=rest)).json()
    assert [line["version"] for line in rest_page["items"]] == ["1.0.0"]
    missing = await client.get("/v1/templates/greet", params={"version": "3.x"})
    assert (missing.status_code, missing.json()["detail"]) == (404, "no template 'greet@3.x'")
    wrong = await client.get("/v1/templates/greet", params={"version": "latest"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_range")


async def test_a_diff_shows_lines_and_nodes(client: httpx.AsyncClient) -> None:
    await put(client, greet())
    changed = greet(version="1.1.0").replace("Hello", "Hallo")
    changed = changed.replace(
        "outputs:", "  more: {use: set, with: {a: '${{ greet.text }}'}}\noutputs:"
    )
    assert (await put(client, changed)).status_code == 201
    params = {"from": "1.0.0", "to": "1.1.0"}
    diff = (await client.get("/v1/templates/greet/diff", params=params)).json()
    assert diff["nodes"] == {"added": ["more"], "removed": [], "changed": ["greet"]}
    assert '-    with: {text: "Hello' in diff["text"]
    assert '+    with: {text: "Hallo' in diff["text"]


async def test_bundled_templates_are_in_the_gallery(client: httpx.AsyncClient) -> None:
    lines = {line["name"]: line for line in (await client.get("/v1/templates")).json()["items"]}
    assert lines[BUNDLED]["origin"] == "bundled"
    shown = await client.get(f"/v1/templates/{BUNDLED}")
    assert shown.status_code == 200
    assert shown.json()["origin"] == "bundled"
    history = (await client.get(f"/v1/templates/{BUNDLED}/versions")).json()["items"]
    assert [line["origin"] for line in history] == ["bundled"]


async def test_an_own_template_comes_before_the_bundled_one(client: httpx.AsyncClient) -> None:
    await put(client, greet(name=BUNDLED, version="0.0.1"), name=BUNDLED)
    shown = (await client.get(f"/v1/templates/{BUNDLED}")).json()
    assert (shown["origin"], shown["version"], shown["hides_bundled"]) == ("own", "0.0.1", True)
    lines = (await client.get("/v1/templates")).json()["items"]
    assert [line["hides_bundled"] for line in lines if line["name"] == BUNDLED] == [True]
    assert (await client.delete(f"/v1/templates/{BUNDLED}")).status_code == 204
    assert (await client.get(f"/v1/templates/{BUNDLED}")).json()["origin"] == "bundled"
    bundled = await client.delete(f"/v1/templates/{BUNDLED}")
    assert (bundled.status_code, bundled.json()["code"]) == (409, "template_bundled")


async def test_the_gallery_is_paged_by_name(client: httpx.AsyncClient) -> None:
    for name in ("aa-one", "aa-two", "zz-last"):
        await put(client, greet(name=name), name=name)
    names: list[str] = []
    cursor = None
    for _ in range(100):
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/templates", params=params)).json()
        names += [line["name"] for line in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == sorted(set(names))
    assert {"aa-one", "aa-two", "zz-last", BUNDLED} <= set(names)


async def test_anothers_template_is_404(client: httpx.AsyncClient, new_tenant: NewTenant) -> None:
    await put(client, greet())
    stranger = (await new_tenant()).client
    for path in ("", "/versions", "/diff?from=1.0.0&to=1.0.0"):
        answer = await stranger.get(f"/v1/templates/greet{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "template_not_found")
    assert (await stranger.delete("/v1/templates/greet")).status_code == 404


async def test_the_schema_is_sound_and_describes_templates(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/v1/schema/template")).json()
    Draft202012Validator.check_schema(schema)
    assert {"treadle", "name", "version", "nodes"} <= set(schema["properties"])
