"""Uploads come back as attachments, byte for byte, to their workspace only."""

from hashlib import sha256

import httpx
import pytest
from tests.platform.conftest import NewTenant

from treadle.platform.files.content import clean_media_type, clean_name
from treadle.platform.files.routes import LARGEST_FILE

pytestmark = pytest.mark.slow

CONTENT = bytes(range(256)) * 4


async def upload(
    client: httpx.AsyncClient, content: bytes = CONTENT, name: str = "rows.csv"
) -> httpx.Response:
    return await client.post("/v1/files", files={"file": (name, content, "text/csv")})


async def test_a_file_comes_back_as_it_went_in(client: httpx.AsyncClient) -> None:
    made = await upload(client)
    assert made.status_code == 201
    shown = made.json()
    assert shown | {"id": None} == {
        "id": None,
        "name": "rows.csv",
        "media_type": "text/csv",
        "size": len(CONTENT),
        "sha256": sha256(CONTENT).hexdigest(),
    }
    back = await client.get(f"/v1/files/{shown['id']}")
    assert back.content == CONTENT
    assert back.headers["content-disposition"].startswith('attachment; filename="rows.csv"')
    assert back.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in back.headers["content-security-policy"]


async def test_the_same_content_twice_is_two_files(client: httpx.AsyncClient) -> None:
    first, second = (await upload(client)).json(), (await upload(client)).json()
    assert first["id"] != second["id"]
    assert first["sha256"] == second["sha256"]


async def test_anothers_file_is_404(client: httpx.AsyncClient, new_tenant: NewTenant) -> None:
    made = (await upload(client)).json()
    stranger = (await new_tenant()).client
    answer = await stranger.get(f"/v1/files/{made['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "file_not_found")


async def test_a_file_over_50_mib_is_413(client: httpx.AsyncClient) -> None:
    fits = await upload(client, b"\0" * LARGEST_FILE)
    assert fits.status_code == 201
    over = await upload(client, b"\0" * (LARGEST_FILE + 1))
    assert (over.status_code, over.json()["code"]) == (413, "body_too_large")


async def test_an_upload_without_a_file_is_422(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.post("/v1/files", files={"other": ("x", b"x")}),
        await client.post("/v1/files", data={"file": "x"}),
        await client.post("/v1/files", json={"file": {"filepath": "/etc/passwd"}}),
    ):
        assert answer.status_code == 422
        assert answer.json()["issues"][0]["path"] == "file"


async def test_an_unknown_field_beside_the_file_is_422(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/files", files={"file": ("x", b"x")}, data={"path": "/etc"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "unknown field 'path': a file goes in `file`, alone"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\0b\r\nc.txt", "abc.txt"),
        ("\u202egnp.exe", "gnp.exe"),
        ("..", "file"),
        ("", "file"),
        ("x" * 300, "x" * 255),
    ],
)
def test_a_name_is_never_a_path(name: str, shown: str) -> None:
    assert clean_name(name) == shown


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Text/HTML; charset=utf-8", "text/html"),
        ("text/csv\r\nX-Evil: 1", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_a_media_type_is_kept_if_it_is_one(given: str | None, kept: str) -> None:
    assert clean_media_type(given) == kept
