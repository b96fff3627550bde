"""Whatever is sent, the answer is a right one or a problem document, never a 5xx.

The served OpenAPI document says what can be asked; for each operation and kind of caller many requests are made up from
it, right ones and wrong ones.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.platform import Person, Platform, started

ENDING = {"POST /api/v1/auth/logout", "POST /api/v1/auth/refresh", "DELETE /api/v1/members/me"}
"""Calls that would end the caller's own session, which the others still need."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of one's own: what is made up here would be in other tests' way."""
    with started("near", tmp_path_factory.mktemp("any"), COMMONRY_PASSWORD_QUEUE="1000") as running:
        yield running


@pytest.fixture(scope="module")
def document(platform: Platform) -> Any:
    return schemathesis.openapi.from_url(f"{platform.url}/api/v1/openapi.json")


async def token(platform: Platform, role: str) -> str | None:
    """A session of someone in that role."""
    if role == "nobody":
        return None
    person = await Person(platform.url, role).register()
    if role == "manager":
        with psycopg.connect(platform.database("users"), autocommit=True) as conn:
            conn.execute("UPDATE members SET roles = '{member,manager}' WHERE id = %s", [person.id])
        await person.login()
    await person.close()
    return person.token


def operations(document: Any) -> list[Any]:
    return [result.ok() for result in document.get_all_operations()]


async def known(platform: Platform) -> dict[str, str]:
    """Ids that exist, by the name of the path parameter: made-up ones alone would only ever find nothing."""
    owner, borrower = await Person(platform.url, "owner").register(), await Person(platform.url, "borrower").register()
    body = {"title": "A known thing", "category": "other", "location": {"lat": 52.5, "lon": 13.4, "label": "Here"}}
    item = await owner.must("POST", "/items", body)
    start = datetime.now(UTC) + timedelta(days=2)
    period = {"from": start.isoformat(), "to": (start + timedelta(days=1)).isoformat()}
    booking = await borrower.must("POST", "/bookings", {"item_id": item["id"], **period})
    await asyncio.gather(owner.close(), borrower.close())
    return {"item_id": item["id"], "booking_id": booking["id"], "member_id": owner.id}


@pytest.mark.parametrize("role", ["nobody", "member", "manager"])
@pytest.mark.timeout(400)
async def test_no_made_up_request_breaks_anything(platform: Platform, document: Any, role: str) -> None:
    bearer, ids = await token(platform, role), await known(platform)
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    wrong: list[str] = []
    seen: Counter[int] = Counter()

    def ask(case: Any) -> None:
        if bearer and case.operation.label in ENDING:
            return
        if seen.total() % 4:
            case.path_parameters = {k: ids.get(k, v) for k, v in (case.path_parameters or {}).items()}
        answer = case.call(headers=headers, timeout=30)
        seen[answer.status_code] += 1
        kind = answer.headers.get("content-type", [""])[0]
        refused = 400 <= answer.status_code < 500 and case.method != "HEAD"
        if answer.status_code >= 500 or (refused and not kind.startswith("application/problem+json")):
            wrong.append(f"{case.method} {case.formatted_path} {case.query} {case.body!r}: {answer.status_code} {kind}")

    for operation in operations(document):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _many(operation, mode, ask)
    assert wrong == []
    assert seen[200] + seen[201] > 30, seen
    assert seen[401] < seen.total() / 4 or role == "nobody", seen


def _many(operation: Any, mode: GenerationMode, ask: Any) -> None:
    """Up to 12 requests of one kind. An operation with nothing to get wrong has no wrong ones."""
    strategy = operation.as_strategy(generation_mode=mode)
    chosen = settings(
        max_examples=12, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    try:
        chosen(given(case=strategy)(ask))()
    except Unsatisfiable:
        return


def test_the_document_is_the_whole_api(document: Any) -> None:
    paths = {o.path for o in operations(document)}
    promised = ["/auth/register", "/auth/login", "/auth/validate-token", "/auth/logout", "/auth/refresh"]
    promised += [
        "/members/me",
        "/members",
        "/items",
        "/items/{item_id}",
        "/items/{item_id}/availability",
        "/categories",
    ]
    promised += ["/items/import", "/items/export.csv", "/bookings/quote", "/bookings", "/payments/statement"]
    assert {f"/api/v1{p}" for p in promised} <= paths
    assert not [p for p in paths if "/internal" in p]
