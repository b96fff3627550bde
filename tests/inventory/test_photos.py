"""Photos of items: added, arranged, taken away, seen; and what becomes of their files."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from commonry.contracts.events import MemberErased
from commonry.inventory import jobs
from commonry.inventory.store import events
from commonry.inventory.store.photos import MOST
from commonry.kit.auth import Caller
from commonry.kit.ids import new_id
from commonry.kit.pictures import MOST_BYTES
from tests.inventory.shed import Said, Shed
from tests.pictures import MULTIPART, form, picture


async def add(shed: Shed, item: UUID, pictures: list[bytes], *alts: str, by: Caller | None = None) -> Said:
    return await shed.ask(
        "POST", f"/api/v1/items/{item}/photos", data=form(pictures, alts), headers=MULTIPART, by=by or shed.owner
    )


async def added(shed: Shed, item: UUID, *colours: int) -> list[str]:
    """Ids of new photos, one for each colour."""
    said = await add(shed, item, [picture(colour=(20 * colour, 99, 99)) for colour in colours])
    assert said.status == 201, said.body
    return [photo["id"] for photo in said.json["data"]]


async def of(shed: Shed, item: UUID) -> list[str]:
    return [photo["id"] for photo in (await shed.ask("GET", f"/api/v1/items/{item}")).json["photos"]]


def files(shed: Shed) -> list[Path]:
    return [path for path in Path(str(shed.data)).rglob("*") if path.is_file()]


def long_ago(shed: Shed) -> None:
    """The files are older than a day."""
    then = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    for path in files(shed):
        os.utime(path, (then, then))


async def test_photos_are_seen_by_everybody_in_three_sizes(shed: Shed) -> None:
    item = await shed.item()
    made = await add(shed, item, [picture(2000, 1000), picture(30, 40)], "A drill, in its case")
    assert made.status == 201
    first, second = made.json["data"]
    assert (first["alt"], first["width"], first["height"]) == ("A drill, in its case", 1600, 800)
    assert (second["alt"], second["width"], second["height"]) == ("", 30, 40)
    shown = await shed.ask("GET", f"/api/v1/items/{item}")
    assert shown.json["photos"] == [first, second]
    listed = (await shed.ask("GET", "/api/v1/items")).json["data"]
    assert listed[0]["photos"] == [first, second]
    lengths = []
    for size in ("small", "medium", "large"):
        got = await shed.ask("GET", first[size])
        assert (got.status, got.headers["content-type"]) == (200, "image/webp")
        assert got.body[:4] + got.body[8:12] == b"RIFFWEBP"
        assert "immutable" in got.headers["cache-control"]
        assert got.headers["commonry-tags"].split() == [f"item:{item}", f"owner:{shed.owner.id}"]
        lengths.append(len(got.body))
    assert lengths == sorted(lengths)
    assert not any("IMG" in str(path) for path in files(shed)), "a name of the sender's is kept"


async def test_the_item_is_another_version(shed: Shed) -> None:
    item = await shed.item()
    before = (await shed.ask("GET", f"/api/v1/items/{item}")).headers["etag"]
    await added(shed, item, 1)
    after = (await shed.ask("GET", f"/api/v1/items/{item}")).headers["etag"]
    assert before != after


async def test_only_who_may_write_the_item_may_write_its_photos(shed: Shed) -> None:
    item = await shed.item()
    (photo,) = await added(shed, item, 1)
    where = f"/api/v1/items/{item}/photos"
    for by, status in ((None, 401), (shed.other, 403)):
        post = await shed.ask("POST", where, data=form([picture()]), headers=MULTIPART, by=by)
        put = await shed.ask("PUT", where, {"photos": []}, by=by)
        gone = [await shed.ask("DELETE", path, by=by) for path in (where, f"{where}/{photo}")]
        assert {said.status for said in (post, put, *gone)} == {status}
    assert await of(shed, item) == [photo]
    assert (await add(shed, item, [picture(colour=(5, 5, 5))], by=shed.manager)).status == 201
    assert (await add(shed, new_id(), [picture()])).status == 404


async def test_what_is_sent_twice_is_there_once(shed: Shed) -> None:
    item, other = await shed.item(), await shed.item()
    assert await added(shed, item, 1) == await added(shed, item, 1)
    assert len(await of(shed, item)) == 1
    assert set(await added(shed, other, 1)).isdisjoint(await of(shed, item)), "items share no photo"


async def test_they_are_arranged_and_described(shed: Shed) -> None:
    item = await shed.item()
    one, two, three = await added(shed, item, 1, 2, 3)
    wanted = {"photos": [{"id": three, "alt": "From behind"}, {"id": one}]}
    said = await shed.ask("PUT", f"/api/v1/items/{item}/photos", wanted, by=shed.owner)
    assert [(p["id"], p["alt"]) for p in said.json["data"]] == [(three, "From behind"), (one, "")]
    assert await of(shed, item) == [three, one]
    assert (await shed.ask("GET", f"/api/v1/items/{item}/photos/{two}/400")).status == 404
    again = await shed.ask("PUT", f"/api/v1/items/{item}/photos", {"photos": [{"id": three}]}, by=shed.owner)
    assert [p["alt"] for p in again.json["data"]] == ["From behind"]
    assert await added(shed, item, 2) == [three, two], "one that was taken away comes back at the end"


@pytest.mark.parametrize("wrong", ["unknown", "twice", "another's"])
async def test_an_order_that_cannot_be_changes_nothing(shed: Shed, wrong: str) -> None:
    item = await shed.item()
    one, two = await added(shed, item, 1, 2)
    (theirs,) = await added(shed, await shed.item(), 1)
    asked = {"unknown": [one, str(uuid4())], "twice": [one, one], "another's": [one, theirs]}[wrong]
    said = await shed.ask(
        "PUT", f"/api/v1/items/{item}/photos", {"photos": [{"id": photo} for photo in asked]}, by=shed.owner
    )
    assert said.mistaken == {"photos.1.id"}
    assert await of(shed, item) == [one, two]


async def test_one_goes_or_all_of_them(shed: Shed) -> None:
    item = await shed.item()
    one, two, three = await added(shed, item, 1, 2, 3)
    where = f"/api/v1/items/{item}/photos"
    assert (await shed.ask("DELETE", f"{where}/{two}", by=shed.owner)).status == 204
    assert await of(shed, item) == [one, three]
    assert (await shed.ask("DELETE", f"{where}/{two}", by=shed.owner)).status == 404
    assert (await shed.ask("DELETE", where, by=shed.owner)).status == 204
    assert await of(shed, item) == []


async def test_hostile_files_are_refused_each_by_name_and_nothing_is_added(shed: Shed) -> None:
    item = await shed.item()
    said = await add(shed, item, [picture(), b"<svg onload=alert(1)>", b"", picture(colour=(9, 9, 9))])
    assert said.mistaken == {"photo.1", "photo.2"}
    assert "JPEG, PNG or WebP" in said.body.decode()
    assert await of(shed, item) == []


async def test_too_many_too_large_and_no_form_at_all(shed: Shed) -> None:
    item = await shed.item()
    where = f"/api/v1/items/{item}/photos"
    assert (await add(shed, item, [])).mistaken == {"body.photo"}
    assert (await add(shed, item, [b"\xff\xd8" + b"\0" * MOST_BYTES])).status == 413
    assert (await shed.ask("POST", where, {"photo": "no"}, by=shed.owner)).status == 415
    await added(shed, item, *range(MOST))
    assert (await add(shed, item, [picture(colour=(77, 77, 77))])).mistaken == {"photo"}
    assert len(await of(shed, item)) == MOST


async def test_with_the_item_go_its_photos(shed: Shed) -> None:
    item = await shed.item()
    (photo,) = await added(shed, item, 1)
    assert (await shed.ask("DELETE", f"/api/v1/items/{item}", by=shed.owner)).status == 204
    assert (await shed.ask("GET", f"/api/v1/items/{item}/photos/{photo}/400")).status == 404


async def test_with_their_owner_they_go_too(shed: Shed) -> None:
    item, others = await shed.item(), await shed.item(owner=shed.other)
    (mine,), (theirs,) = (
        await added(shed, item, 1),
        [p["id"] for p in (await add(shed, others, [picture()], by=shed.other)).json["data"]],
    )
    async with shed.db.tx() as tx:
        await events.apply(tx, new_id(), MemberErased(member_id=shed.owner.id))
    assert (await shed.ask("GET", f"/api/v1/items/{item}/photos/{mine}/400")).status == 404
    assert (await shed.ask("GET", f"/api/v1/items/{others}/photos/{theirs}/400")).status == 200


async def sweeps(shed: Shed) -> None:
    """What the daily loop does, once."""
    await jobs.sweeping(shed.db, shed.album)()


async def test_files_go_a_day_after_their_photo(shed: Shed) -> None:
    item = await shed.item()
    stays, goes = await added(shed, item, 1, 2)
    await shed.ask("DELETE", f"/api/v1/items/{item}/photos/{goes}", by=shed.owner)
    long_ago(shed)
    await sweeps(shed)
    assert len(files(shed)) == 6, "not before a day"
    async with shed.db.tx() as tx:
        await tx.execute("UPDATE photos SET gone_at = gone_at - interval '25 hours' WHERE gone_at IS NOT NULL")
    await sweeps(shed)
    assert {path.parent.name for path in files(shed)} == {stays}


async def test_what_never_became_a_photo_is_found(shed: Shed) -> None:
    (stays,) = await added(shed, await shed.item(), 1)
    await shed.album.keep(str(uuid4()), picture())
    await sweeps(shed)
    assert len(files(shed)) == 6, "it may be about to become one"
    long_ago(shed)
    await sweeps(shed)
    assert {path.parent.name for path in files(shed)} == {stays}


async def test_one_that_comes_back_while_files_go_keeps_them(shed: Shed) -> None:
    item = await shed.item()
    (photo,) = await added(shed, item, 1)
    await shed.ask("DELETE", f"/api/v1/items/{item}/photos/{photo}", by=shed.owner)
    long_ago(shed)
    async with shed.db.tx() as tx:
        await tx.execute("DELETE FROM photos")
    assert await added(shed, item, 1) == [photo]
    await sweeps(shed)
    assert (await shed.ask("GET", f"/api/v1/items/{item}/photos/{photo}/400")).status == 200
