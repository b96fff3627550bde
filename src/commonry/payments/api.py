"""Routes of payments: what a member may read, and what the other services may ask for.

Nobody moves money over the public API: a booking does, through the internal routes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from litestar import get, post, put
from litestar.params import Parameter

from commonry.contracts.payments import (
    Authorise,
    Entry,
    GiveBack,
    OpenMoney,
    Payment,
    Purpose,
    StatementLine,
    Take,
)
from commonry.contracts.surroundings import Surroundings
from commonry.kit import migrate, service
from commonry.kit.auth import Caller
from commonry.kit.backlog import Backlog
from commonry.kit.db import Database
from commonry.kit.pages import Cursor, Limit, Page
from commonry.kit.problems import NotAllowed, NotFound
from commonry.kit.service import Service, only_services
from commonry.payments import metrics
from commonry.payments.jobs import looking_after
from commonry.payments.sandbox import Sandbox
from commonry.payments.steps import Till
from commonry.payments.store import ledger
from commonry.payments.store import payments as store

MIGRATIONS = Path(__file__).with_name("migrations")

SIGNED_IN: Sequence[dict[str, list[str]]] = [{"bearer": []}]
OfBooking = Annotated[UUID | None, Parameter(query="booking_id", description="Only this booking's entries.")]


@get("/api/v1/payments/statement", summary="What happened to my money", tags=["payments"], security=SIGNED_IN)
async def read_statement(caller: Caller, db: Database, limit: Limit = 20, cursor: Cursor = None) -> Page[StatementLine]:
    async with db.read() as tx:
        return await ledger.statement(tx, caller.id, limit, cursor)


@get("/api/v1/payments/ledger", summary="The ledger, newest first (managers)", tags=["payments"], security=SIGNED_IN)
async def read_ledger(
    caller: Caller, db: Database, booking: OfBooking = None, limit: Limit = 20, cursor: Cursor = None
) -> Page[Entry]:
    if not caller.manages:
        raise NotAllowed
    async with db.read() as tx:
        return await ledger.entries(tx, booking, limit, cursor)


@get("/api/v1/payments/{booking_id:uuid}", summary="A booking's payments", tags=["payments"], security=SIGNED_IN)
async def read_payments(caller: Caller, db: Database, booking_id: UUID) -> Page[Payment]:
    async with db.read() as tx:
        found = await store.of_booking(tx, booking_id, caller.id, manages=caller.manages)
    if not found:
        raise NotFound
    return Page(found)


_INTERNAL: dict[str, Any] = {"guards": [only_services], "include_in_schema": False}
_PAYMENT = "/internal/payments/{booking:uuid}/{purpose:str}"


@put(_PAYMENT, **_INTERNAL)
async def authorise(till: Till, booking: UUID, purpose: Purpose, data: Authorise) -> Payment:
    return await till.authorise(booking, purpose, data)


@post(_PAYMENT + "/capture", status_code=200, **_INTERNAL)
async def capture(till: Till, booking: UUID, purpose: Purpose, data: Take) -> Payment:
    return await till.capture(booking, purpose, data.amount)


@post(_PAYMENT + "/void", status_code=200, **_INTERNAL)
async def void(till: Till, booking: UUID, purpose: Purpose) -> Payment:
    return await till.void(booking, purpose)


@post(_PAYMENT + "/refund", status_code=200, **_INTERNAL)
async def refund(till: Till, booking: UUID, purpose: Purpose, data: GiveBack) -> Payment:
    return await till.refund(booking, purpose, data.amount, data.reason)


@post("/internal/payments/{booking:uuid}/payout", status_code=204, **_INTERNAL)
async def pay_out(till: Till, booking: UUID) -> None:
    await till.pay_out(booking)


@get("/internal/members/{member:uuid}/open-money", **_INTERNAL)
async def open_money(db: Database, member: UUID) -> OpenMoney:
    async with db.read() as tx:
        return OpenMoney(open=await store.has_open_money(tx, member))


@post("/internal/events/{topic:str}/{event_id:uuid}", status_code=204, **_INTERNAL)
async def hear(topic: str, event_id: UUID) -> None:  # noqa: ARG001 why: nothing that happens elsewhere moves money
    return None


ROUTES = [
    read_statement,
    read_ledger,
    read_payments,
    authorise,
    capture,
    void,
    refund,
    pay_out,
    open_money,
    hear,
]


def open_till(around: Surroundings) -> Till:
    """The till with its provider: there is one so far."""
    settings = around.settings
    provider = Sandbox(around.db, settings.provider_seconds)
    return Till(around.db, provider, settings.provider_seconds, settings.fee_percent, settings.currency)


def build(around: Surroundings) -> Service:
    """The service in these surroundings."""
    till, db = open_till(around), around.db
    metrics.seen_from_the_start(around.settings.currency)
    offers = {"till": till}
    loops = [looking_after(till)]
    return service.build(
        "payments",
        ROUTES,
        door=around.door,
        db=db,
        offers=offers,
        loops=loops,
        ready=lambda: migrate.is_current(db, MIGRATIONS),
        facts=[Backlog("payments", "payments")],
    )
