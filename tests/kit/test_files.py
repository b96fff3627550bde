"""Files in a folder and in a bucket: the same, whichever it is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commonry.kit.files import Files
from commonry.kit.problems import Unavailable
from tests.kit.s3 import KEY, Bucket


@pytest.fixture(params=["folder", "bucket"])
async def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Files]:
    if request.param == "folder":
        yield Files(f"file://{tmp_path}/some%20where")
        return
    async with Bucket("things") as bucket:
        told = {"ENDPOINT": bucket.url, "REGION": "eu-1", "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": "s"}
        for name, value in told.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield Files("s3://things/community")
        assert all(name.startswith("community/") for name in bucket.there)


async def test_what_is_put_is_there_until_it_is_removed(files: Files) -> None:
    assert await files.get("items/one/400.webp") is None
    await files.put("items/one/400.webp", b"picture")
    await files.put("items/two/400.webp", b"")
    await files.put("elsewhere/400.webp", b"x")
    assert await files.get("items/one/400.webp") == b"picture"
    listed = {kept.name: kept.at async for kept in files.all("items")}
    assert listed.keys() == {"items/one/400.webp", "items/two/400.webp"}
    assert all(abs(datetime.now(UTC) - at) < timedelta(minutes=1) for at in listed.values())
    await files.remove(["items/one/400.webp", "items/never/400.webp"])
    assert await files.get("items/one/400.webp") is None
    assert [kept.name async for kept in files.all("items")] == ["items/two/400.webp"]


async def test_nothing_is_listed_where_nothing_is(files: Files) -> None:
    assert [kept async for kept in files.all("items")] == []


async def test_a_bucket_that_is_away_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENDPOINT": "http://127.0.0.1:1", "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    files = Files("s3://things/away")
    for asked in (files.put("a", b""), files.get("a"), files.remove(["a"])):
        with pytest.raises(Unavailable):
            await asked
    with pytest.raises(Unavailable):
        [kept async for kept in files.all("a")]


async def test_a_folder_that_cannot_be_written_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file, and no folder")
    with pytest.raises(Unavailable):
        await Files(f"file://{tmp_path}/files").put("a", b"")


async def test_nowhere_is_said_to_be_nowhere() -> None:
    with pytest.raises(Unavailable, match="COMMONRY_FILES_URL"):
        await Files("").get("a")
