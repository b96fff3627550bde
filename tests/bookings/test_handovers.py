"""What is written down and photographed when a thing changes hands, and who sees it."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest

from commonry.bookings import jobs
from commonry.kit import pictures
from commonry.kit.pictures import Album
from tests.pictures import MULTIPART, form, picture
from tests.town import Person, Town


async def booked(town: Town) -> tuple[Person, Person, str]:
    owner, borrower = await town.person(), await town.person()
    _, made = await borrower.books(await owner.lists(), start=0.1)
    return owner, borrower, made["id"]


async def photographs(town: Town, person: Person | None, booking: str, *pictures: bytes) -> tuple[int, dict]:
    headers = MULTIPART | ({"authorization": f"Bearer {person.token}"} if person else {})
    path = f"/api/v1/bookings/{booking}/photos"
    got = await town.door.call("POST", path, query="", body=form(pictures), headers=headers, timeout=30)
    return got.status, json.loads(got.body)


async def sees(town: Town, person: Person | None, address: str) -> int:
    headers = {"authorization": f"Bearer {person.token}"} if person else {}
    return (await town.door.call("GET", address, query="", body=b"", headers=headers, timeout=30)).status


async def records(person: Person, booking: str) -> list[dict]:
    status, found = await person.call("GET", f"/bookings/{booking}/handovers")
    assert status == 200, found
    return found["data"]


async def test_both_write_down_how_it_was_with_photos(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    assert await records(owner, booking) == []
    status, made = await photographs(town, borrower, booking, picture(), picture(colour=(0, 90, 0)))
    assert status == 201, made
    ids = [photo["id"] for photo in made["data"]]
    said = {"condition": "worn", "note": "A scratch on the left", "photos": ids}
    assert (await borrower.call("POST", f"/bookings/{booking}/pickup", said))[0] == 200
    (record,) = await records(owner, booking)
    assert (record["kind"], record["by_id"], record["condition"]) == ("pickup", str(borrower.id), "worn")
    assert sorted(photo["id"] for photo in record["photos"]) == sorted(ids)
    assert [await sees(town, owner, record["photos"][0][size]) for size in ("small", "medium", "large")] == [200] * 3


async def test_only_the_two_and_managers_see_them(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    _, made = await photographs(town, owner, booking, picture())
    address = made["data"][0]["small"]
    stranger, manager = await town.person(), await town.person(manages=True)
    seen = [await sees(town, who, address) for who in (owner, borrower, manager, stranger, None)]
    assert seen == [200, 200, 200, 404, 401]
    assert (await photographs(town, stranger, booking, picture()))[0] == 404
    assert (await photographs(town, manager, booking, picture()))[0] == 403
    _, _, other = await booked(town)
    assert await sees(town, manager, address.replace(booking, other)) == 404


async def test_a_photo_that_the_other_took_is_not_ones_own(town: Town) -> None:
    owner, borrower, booking = await booked(town)
    _, made = await photographs(town, owner, booking, picture())
    said = {"photos": [made["data"][0]["id"], "nonsense"]}
    assert (await borrower.call("POST", f"/bookings/{booking}/pickup", said))[0] == 200
    (record,) = await records(owner, booking)
    assert record["photos"] == []


@pytest.mark.parametrize("sent", [b"<svg>", b""])
async def test_what_is_no_picture_is_refused(town: Town, sent: bytes) -> None:
    _, borrower, booking = await booked(town)
    status, said = await photographs(town, borrower, booking, sent)
    assert (status, said["errors"][0]["at"]) == (422, "photo.0")


async def test_there_is_nothing_to_photograph_before_it_is_agreed_and_after_it_is_over(town: Town) -> None:
    owner, borrower = await town.person(), await town.person()
    _, made = await borrower.books(await owner.lists(booking_mode="request"))
    status, said = await photographs(town, borrower, made["id"], picture())
    assert (status, said["type"]) == (409, "/problems/not-in-that-state")


async def test_files_that_nobody_knows_go_and_others_stay(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, _, booking = await booked(town)
    _, made = await photographs(town, owner, booking, picture())
    album = Album(town.around.files, "handovers")
    await album.keep(str(uuid4()), picture())
    monkeypatch.setattr(pictures, "YOUNG", timedelta(seconds=-1))
    sweep = jobs.loops(town.saga.around, town.saga, album)[-1]
    sweeping = asyncio.create_task(sweep())
    async with asyncio.timeout(20):
        while {name async for name, _ in album.all()} != {made["data"][0]["id"]}:
            await asyncio.sleep(0.05)
    sweeping.cancel()
