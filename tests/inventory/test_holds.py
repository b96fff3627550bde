"""Holding: who gets a unit, who does not, and what is left behind."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from commonry.contracts.inventory import NewBlackout
from commonry.contracts.problems import HoldExpired, ItemTaken, NotOffered, ReservationReleased
from commonry.inventory.store import blackouts, calendar, items, room
from commonry.kit import clock
from commonry.kit.ids import new_id
from commonry.kit.problems import Conflict, NotFound
from tests.inventory.shed import Shed


async def test_rule_1_back_to_back_is_allowed_and_empty_is_refused(shed: Shed) -> None:
    item = await shed.item()
    assert await shed.tries(item, 0, 2) == "held"
    assert await shed.tries(item, 2, 4) == "held"
    assert await shed.tries(item, 1, 3) == "item-taken"
    assert await shed.tries(item, -1, 0) == "held"
    for begin, end in ((5, 5), (6, 5)):
        body = {"item_id": item, "quantity": 1, "seconds": 60}
        body["period"] = {"from": shed.at(begin), "to": shed.at(end)}
        said = await shed.ask("PUT", f"/internal/reservations/{uuid4()}", body, service=True)
        assert said.mistaken == {"period.to"}


async def test_rule_5_and_8_a_hold_is_released_and_its_tombstone_refuses(shed: Shed) -> None:
    item, booking = await shed.item(), new_id()
    assert (await shed.release(booking)).state == "released"
    with pytest.raises(ReservationReleased):
        await shed.hold(item, 0, 2, booking=booking)
    assert await shed.free(item, 0, 2) == [(0, 2, 1)]
    assert (await shed.release(booking)).state == "released"


async def test_the_same_hold_again_is_the_same_answer(shed: Shed) -> None:
    item, booking = await shed.item(2), new_id()
    first = await shed.hold(item, 0, 2, booking=booking)
    assert await shed.hold(item, 0, 2, booking=booking) == first
    assert await shed.free(item, 0, 2) == [(0, 2, 1)]
    with pytest.raises(Conflict):
        await shed.hold(item, 0, 3, booking=booking)
    await shed.release(booking)
    with pytest.raises(ReservationReleased):
        await shed.hold(item, 0, 2, booking=booking)


async def test_one_hold_sent_many_times_at_once_claims_once(shed: Shed) -> None:
    item, booking = await shed.item(5), new_id()
    answers = await asyncio.gather(*(shed.hold(item, 0, 2, booking=booking) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert await shed.free(item, 0, 2) == [(0, 2, 4)]


async def test_rule_6_n_units_admit_exactly_n(shed: Shed) -> None:
    item = await shed.item(3)
    assert [await shed.tries(item, 0, 2) for _ in range(4)] == ["held"] * 3 + ["item-taken"]
    assert await shed.tries(await shed.item(3), 0, 2, 3) == "held"
    wide = await shed.item(3)
    assert await shed.tries(wide, 0, 2, 2) == "held"
    assert await shed.tries(wide, 1, 3, 2) == "item-taken"
    assert await shed.tries(wide, 1, 3, 1) == "held"
    assert await shed.tries(wide, 2.5, 3, 4) == "item-taken"
    assert await shed.lent_twice() == 0


async def test_rule_6_what_is_shown_free_can_be_booked_though_no_single_unit_is_free(shed: Shed) -> None:
    """Two loans on different units leave no unit free for the whole time; one of them moves aside."""
    item = await shed.item(2)
    early, _middle, late = [(await shed.hold(item, *hours)).id for hours in ((0, 2), (1, 4), (3, 6))]
    assert await shed.free(item, 0, 6) == [(0, 1, 1), (2, 3, 1), (4, 6, 1)]
    async with shed.db.tx() as tx:  # make sure that it really is fragmented
        units = await room._units(tx, item)
        other = "UPDATE claims SET unit_id = %s WHERE reservation_id = %s"
        await shed.release(_middle)
        await tx.execute(other, [units[0], early])
        await tx.execute(other, [units[1], late])
    assert await shed.free(item, 0, 6) == [(0, 2, 1), (2, 3, 2), (3, 6, 1)]
    assert await shed.tries(item, 0, 6) == "held"
    assert await shed.tries(item, 2, 3) == "held"
    assert await shed.lent_twice() == 0


async def test_rule_7_the_buffer_is_counted_once(shed: Shed) -> None:
    item = await shed.item(buffer_minutes=60)
    assert await shed.tries(item, 10, 12) == "held"
    for begin, end, outcome in ((12.9, 14, "item-taken"), (8, 9.1, "item-taken"), (13, 14, "held"), (8, 9, "held")):
        assert await shed.tries(item, begin, end) == outcome, (begin, end)
    # What lies between 8–9, 10–12 and 13–14 has no room left for a loan and its buffer.
    assert await shed.free(item, 0, 24) == [(0, 7, 1), (15, 24, 1)]


async def test_rule_7_the_greater_buffer_counts_when_it_was_changed(shed: Shed) -> None:
    item = await shed.item(buffer_minutes=0)
    await shed.hold(item, 0, 2)
    await _set_buffer(shed, item, 60)
    assert await shed.tries(item, 2.5, 4) == "item-taken"
    assert await shed.tries(item, 3, 4) == "held"
    await _set_buffer(shed, item, 0)
    assert await shed.tries(item, 4.5, 6) == "item-taken"
    assert await shed.tries(item, 5, 6) == "held"
    assert await shed.tries(item, 6, 7) == "held"


async def _set_buffer(shed: Shed, item: object, minutes: int) -> None:
    said = await shed.ask("PATCH", f"/api/v1/items/{item}", {"buffer_minutes": minutes}, by=shed.owner)
    assert said.status == 200


async def test_rule_8_an_expired_hold_frees_the_unit_and_cannot_be_confirmed(shed: Shed) -> None:
    item = await shed.item()
    booking = (await shed.hold(item, 0, 2, seconds=60)).id
    with clock.at(clock.now() + timedelta(seconds=61)):
        # Nobody has run the job: whoever wants the unit looks for overdue holds before giving up.
        assert await shed.tries(item, 0, 2) == "held"
        with pytest.raises(HoldExpired):
            await calendar.confirm(shed.db, booking)
    with pytest.raises(ReservationReleased):
        await shed.hold(item, 0, 2, booking=booking)


async def test_rule_8_confirming_too_late_releases_at_once(shed: Shed) -> None:
    item = await shed.item()
    booking = (await shed.hold(item, 0, 2, seconds=60)).id
    with clock.at(clock.now() + timedelta(seconds=60)), pytest.raises(HoldExpired):
        await calendar.confirm(shed.db, booking)
    assert await shed.free(item, 0, 2) == [(0, 2, 1)]


async def test_rule_8_expiry_and_confirmation_have_one_winner(shed: Shed) -> None:
    item = await shed.item(40)
    bookings = [(await shed.hold(item, 0, 2, seconds=60)).id for _ in range(40)]
    later = clock.now() + timedelta(seconds=61)

    async def confirmed(booking: object) -> bool:
        try:
            return (await calendar.confirm(shed.db, booking)).state == "confirmed"  # type: ignore[arg-type]
        except HoldExpired:
            return False

    async def expired() -> int:
        with clock.at(later):
            return await shed.db.transact(room.expire)

    confirmations = [confirmed(booking) for booking in bookings]
    count, *won = await asyncio.gather(expired(), *confirmations)
    assert count + sum(won) == 40
    assert await shed.free(item, 0, 2) == ([(0, 2, count)] if count else [])


async def test_not_offered_while_unlisted_suspended_deleted_or_closed(shed: Shed) -> None:
    item = await shed.item(status="unlisted")
    with pytest.raises(NotOffered):
        await shed.hold(item, 0, 2)
    with pytest.raises(NotFound):
        await shed.hold(uuid4(), 0, 2)
    closed = await shed.item(buffer_minutes=60)
    new = NewBlackout(from_=shed.at(10), to=shed.at(12))
    async with shed.db.tx() as tx:
        await blackouts.insert(tx, new_id(), closed, new)
    assert await shed.tries(closed, 11, 13) == "not-offered"
    assert await shed.tries(closed, 9, 9.5) == "not-offered"  # its buffer would reach into the blackout
    assert await shed.tries(closed, 12, 13) == "held"
    assert await shed.tries(closed, 8, 9) == "held"
    assert await shed.free(closed, 0, 20) == [(0, 7, 1), (14, 20, 1)]


async def test_rule_9_moving_excludes_itself_and_changes_nothing_when_refused(shed: Shed) -> None:
    item = await shed.item()
    booking = await shed.lent(item, 0, 2)
    await shed.hold(item, 4, 6)
    moved = await calendar.move(shed.db, booking, shed.period(1, 4))
    assert moved.period == shed.period(1, 4)
    with pytest.raises(ItemTaken):
        await calendar.move(shed.db, booking, shed.period(1, 5))
    assert await shed.free(item, 0, 6) == [(0, 1, 1)]
    async with shed.db.read() as tx:
        assert (await calendar.read(tx, booking)).period == shed.period(1, 4)
    await shed.release(booking)
    with pytest.raises(ReservationReleased):
        await calendar.move(shed.db, booking, shed.period(1, 2))


async def test_rule_9_extending_makes_another_reservation_change_units(shed: Shed) -> None:
    item = await shed.item(2)
    out = await shed.lent(item, -240, 2, out=True)  # has begun: it stays on its unit
    for hours in ((2, 4), (5, 6)):
        await shed.hold(item, *hours)
    await calendar.move(shed.db, out, shed.period(-240, 6))
    assert await shed.free(item, -10, 6) == [(-10, 2, 1), (4, 5, 1)]
    assert await shed.lent_twice() == 0
    assert await shed.tries(item, 4, 5) == "held"
    with pytest.raises(ItemTaken):
        await calendar.move(shed.db, (await shed.hold(item, 10, 11)).id, shed.period(3, 11))


async def test_rule_11_a_blackout_over_a_booking_stops_extending_into_it_but_not_shortening(shed: Shed) -> None:
    item = await shed.item()
    booking = await shed.lent(item, 0, 10)
    body = {"from": shed.at(8), "to": shed.at(12)}
    said = await shed.ask("POST", f"/api/v1/items/{item}/blackouts", body, by=shed.owner)
    assert said.status == 201
    assert said.json["conflicts"] == [str(booking)]
    assert (await calendar.move(shed.db, booking, shed.period(0, 9))).period == shed.period(0, 9)
    with pytest.raises(NotOffered):
        await calendar.move(shed.db, booking, shed.period(0, 10))


async def test_rule_10_early_return_frees_the_tail_and_keeps_the_buffer(shed: Shed) -> None:
    item = await shed.item(buffer_minutes=60)
    booking = await shed.lent(item, 0, 10, out=True)
    with clock.at(shed.at(4)):
        await shed.release(booking)
        await shed.release(booking)
        assert await shed.tries(item, 4.5, 5) == "item-taken"
        assert await shed.free(item, 4, 12) == [(5, 12, 1)]
        assert await shed.tries(item, 5, 8) == "held"
    with clock.at(shed.at(5)):
        assert await shed.db.transact(room.finish_cooling) == 1
    assert await shed.lent_twice() == 0


async def test_rule_10_without_a_buffer_an_early_return_frees_everything(shed: Shed) -> None:
    item = await shed.item()
    booking = await shed.lent(item, 0, 10, out=True)
    with clock.at(shed.at(4)):
        await shed.release(booking)
        assert await shed.tries(item, 4, 10) == "held"


async def test_rule_10_a_late_item_still_occupies_and_puts_the_next_at_risk(shed: Shed) -> None:
    item = await shed.item(buffer_minutes=30)
    late = await shed.lent(item, 0, 2, out=True)
    following = await shed.lent(item, 20, 22)
    later = await shed.lent(item, 60, 62)
    with clock.at(shed.at(5)):
        assert await shed.tries(item, 5, 6) == "item-taken"
        assert await shed.free(item, 5, 20) == [(5.5, 19.5, 1)]
        said = await shed.ask("GET", f"/internal/reservations/{late}/at-risk", service=True)
        assert said.json == {"bookings": [str(following)]}
        await shed.release(late)
        assert await shed.tries(item, 5, 6) == "item-taken"
        assert await shed.tries(item, 5.5, 6) == "held"
    assert str(later) not in said.body.decode()


async def test_picked_up_early_is_claimed_from_then_on(shed: Shed) -> None:
    item = await shed.item()
    booking = await shed.lent(item, 4, 6)
    await shed.hold(item, 0, 2)
    with pytest.raises(ItemTaken):
        await calendar.in_use(shed.db, booking, shed.at(1))
    used = await calendar.in_use(shed.db, booking, shed.at(3))
    assert used.state == "in_use"
    assert used.period == shed.period(4, 6)
    assert await shed.free(item, 0, 6) == [(2, 3, 1)]
    assert await calendar.in_use(shed.db, booking, shed.at(3)) == used
    with pytest.raises(Conflict):
        await calendar.in_use(shed.db, (await shed.hold(item, 2, 3)).id, shed.at(2))


async def test_rule_2_availability_is_in_instants_also_when_clocks_change(shed: Shed) -> None:
    """Berlin, 25 October 2026 has 25 hours, Lord Howe moves by half an hour: neither matters between instants."""
    for zone in ("Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"):
        item = await shed.item(time_zone=zone)
        await shed.hold(item, 0, 25)
        assert await shed.free(item, -1, 26) == [(-1, 0, 1), (25, 26, 1)]


async def test_rule_11_a_blackout_and_a_hold_at_once_never_miss_each_other(shed: Shed) -> None:
    """Either the hold came first and is listed, or the blackout did and the hold is refused."""
    for _ in range(15):
        item = await shed.item(10)

        async def close(item: object = item) -> set[str]:
            body = {"from": shed.at(0), "to": shed.at(5)}
            said = await shed.ask("POST", f"/api/v1/items/{item}/blackouts", body, by=shed.owner)
            return set(said.json["conflicts"])

        async def hold(item: object = item) -> str | None:
            try:
                return str((await shed.hold(item, 1, 2)).id)  # type: ignore[arg-type]
            except NotOffered:
                return None

        listed, *held = await asyncio.gather(close(), *(hold() for _ in range(8)))
        assert set(held) - {None} == listed


async def test_a_hold_waits_for_a_change_of_its_item_and_sees_it(shed: Shed) -> None:
    item = await shed.item()
    async with shed.db.tx() as tx:
        await items.lock(tx, item)
        waiting = asyncio.create_task(shed.tries(item, 0, 2))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await tx.execute("UPDATE items SET status = 'unlisted' WHERE id = %s", [item])
    assert await waiting == "not-offered"
