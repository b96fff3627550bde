"""Routes for other services: an item's terms, a reservation's life, and events."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import get, post, put

from commonry.contracts.events import TOPICS
from commonry.contracts.inventory import AtRisk, Hold, InUse, Move, Reservation, Terms
from commonry.contracts.problems import Mistake
from commonry.inventory.api.telling import Gateways
from commonry.inventory.rules.calendar import mistakes_in_instant, mistakes_in_period
from commonry.inventory.store import calendar, events, items
from commonry.kit.db import Database
from commonry.kit.problems import NotValid
from commonry.kit.service import only_services

INTERNAL: Any = {"guards": [only_services], "include_in_schema": False}


@get("/internal/items/{item_id:uuid}/terms", **INTERNAL)
async def terms(item_id: UUID, db: Database) -> Terms:
    async with db.read() as tx:
        return await items.terms(tx, item_id)


@put("/internal/reservations/{booking_id:uuid}", **INTERNAL)
async def hold(booking_id: UUID, data: Hold, db: Database, gateways: Gateways) -> Reservation:
    mistakes = mistakes_in_period(data.period.from_, data.period.to, "period.")
    if data.quantity < 1:
        mistakes.append(Mistake("quantity", "must be at least 1"))
    if mistakes:
        raise NotValid(*mistakes)
    return await _told(gateways, await calendar.hold(db, booking_id, data))


@post("/internal/reservations/{booking_id:uuid}/confirm", status_code=200, **INTERNAL)
async def confirm(booking_id: UUID, db: Database) -> Reservation:
    return await calendar.confirm(db, booking_id)


@post("/internal/reservations/{booking_id:uuid}/in-use", status_code=200, **INTERNAL)
async def in_use(booking_id: UUID, data: InUse, db: Database, gateways: Gateways) -> Reservation:
    if mistakes := mistakes_in_instant(data.since, "since"):
        raise NotValid(*mistakes)
    return await _told(gateways, await calendar.in_use(db, booking_id, data.since))


@post("/internal/reservations/{booking_id:uuid}/release", status_code=200, **INTERNAL)
async def release(booking_id: UUID, db: Database, gateways: Gateways) -> Reservation:
    return await _told(gateways, await db.transact(lambda tx: calendar.release(tx, booking_id)))


@post("/internal/reservations/{booking_id:uuid}/move", status_code=200, **INTERNAL)
async def move(booking_id: UUID, data: Move, db: Database, gateways: Gateways) -> Reservation:
    if mistakes := mistakes_in_period(data.period.from_, data.period.to, "period."):
        raise NotValid(*mistakes)
    return await _told(gateways, await calendar.move(db, booking_id, data.period))


@get("/internal/reservations/{booking_id:uuid}/at-risk", **INTERNAL)
async def at_risk(booking_id: UUID, db: Database) -> AtRisk:
    async with db.read() as tx:
        return AtRisk(bookings=await calendar.at_risk(tx, booking_id))


@post("/internal/events/{topic:str}/{event_id:uuid}", status_code=204, **INTERNAL)
async def hear(topic: str, event_id: UUID, data: dict[str, Any], db: Database, gateways: Gateways) -> None:
    if topic in TOPICS:
        event = msgspec.convert(data, TOPICS[topic])
        await db.transact(lambda tx: events.apply(tx, event_id, event))
        await gateways.heard(event)


async def _told(gateways: Gateways, reservation: Reservation) -> Reservation:
    await gateways.calendar_changed(reservation.item_id)
    return reservation


routes = [terms, hold, confirm, in_use, release, move, at_risk, hear]
