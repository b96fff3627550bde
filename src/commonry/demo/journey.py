"""One loan, told step by step against a running platform, and a declined card that leaves no trace.

Every line says what was asked and what came of it; a step that goes otherwise ends the journey with a clear error.
Two new members are made for it, so it can be played as often as one likes.
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from commonry.contracts.money import Money, shown
from commonry.demo.caller import Platform, Unexpected
from commonry.kit.peers import Peer

Tell = Callable[[str], None]


async def play(peer: Peer, tell: Tell) -> None:
    """Play the journey. Raises Unexpected when the platform does not do as it should."""
    journey = Journey(Platform(peer), tell)
    await journey.meet()
    await journey.instant_loan()
    await journey.declined_card()
    await journey.asked_loan()
    tell("Done: two loans ended well, one card was declined, and no money or time went missing.")


class Journey:
    """Ada lends, Ben borrows."""

    def __init__(self, platform: Platform, tell: Tell) -> None:
        self.api, self.tell = platform, tell
        self.tag = secrets.token_hex(4)
        self.ada = self.ben = ""

    async def meet(self) -> None:
        """Two people join."""
        self.ada = await self._join("Ada")
        self.ben = await self._join("Ben")

    async def _join(self, name: str) -> str:
        email, password = f"{name.lower()}-{self.tag}@example.org", secrets.token_urlsafe(12)
        body = {"email": email, "password": password, "display_name": f"{name} of the demo"}
        await self.api.must("POST", "/auth/register", body)
        token, _ = await self.api.sign_in(email, password)
        self.tell(f"{name} joins as {email} and signs in.")
        return token

    async def instant_loan(self) -> None:
        """List, find, quote, book, pick up, bring back, review."""
        item = await self._list("instant", "Tandem bicycle of the demo")
        found = await self.api.must("GET", f"/items?q=tandem&limit=5&owner={item['owner_id']}")
        self._check(any(i["id"] == item["id"] for i in found["data"]), "the new item is found by its words")
        period = _period(hours=0, days=2)
        quote = await self.api.must("POST", "/bookings/quote", {"item_id": item["id"], **period})
        self.tell(f"Ben asks what it costs: {_lines(quote)}; deposit {_money(quote['deposit'])}, held and not charged.")
        booking = await self._book(item, period, "confirmed", quote_id=quote["quote_id"])
        await self._taken(item, period)
        await self._step(self.ben, booking, "pickup", "in_use", "Ben picks it up")
        await self._step(self.ada, booking, "return", "completed", "Ada has it back in good condition")
        await self._free(item, period)
        await self._review(booking)
        await self._money_story(booking)

    async def declined_card(self) -> None:
        """The card is declined; the item is free again and nothing was charged."""
        item = await self._list("instant", "Party tent of the demo")
        period = _period(hours=30, days=1)
        body = {"item_id": item["id"], **period, "payment_method": "pm_card_visa_chargeDeclined"}
        status, answer = await self.api.call("POST", "/bookings", body, token=self.ben)
        self._check(status == 402, f"a declined card is refused with 402 ({answer['title'].lower()})")
        await self._free(item, period)
        self.tell("   The reservation was undone: the tent is free again and nothing was charged.")

    async def asked_loan(self) -> None:
        """The owner is asked first, and says yes; then Ben changes his mind."""
        item = await self._list("request", "Telescope of the demo")
        booking = await self._book(item, _period(hours=24 * 9, days=2), "requested")
        await self._step(self.ada, booking, "accept", "confirmed", "Ada accepts")
        done = await self._step(self.ben, booking, "cancel", "cancelled", "Ben cancels nine days ahead")
        self.tell(f"   Refunded by the policy shown before: {_money(done['refund'])}.")

    async def _list(self, mode: str, title: str) -> Any:
        body = {
            "title": title,
            "category": "other",
            "location": {"lat": 52.4934, "lon": 13.4234, "label": "Around the corner"},
            "price": {"amount": 1250, "currency": "EUR", "per": "day"},
            "deposit": {"amount": 5000, "currency": "EUR"},
            "booking_mode": mode,
        }
        item = await self.api.must("POST", "/items", body, token=self.ada, key=f"{self.tag}-{title}")
        self.tell(f"Ada lists “{title}” for 12.50 EUR a day ({'book at once' if mode == 'instant' else 'ask first'}).")
        return item

    async def _book(self, item: Any, period: Any, expected: str, **more: Any) -> Any:
        body = {"item_id": item["id"], **period, "payment_method": "pm_card_visa", **more}
        booking = await self.api.must("POST", "/bookings", body, token=self.ben, key=f"{self.tag}-{item['id']}")
        self._check(booking["state"] == expected, f"Ben books it: {booking['state']}")
        return booking

    async def _taken(self, item: Any, period: Any) -> None:
        body = {"item_id": item["id"], **period, "payment_method": "pm_card_visa"}
        status, _ = await self.api.call("POST", "/bookings", body, token=self.ben)
        self._check(status == 409, "the same days cannot be booked twice (409 item taken)")

    async def _free(self, item: Any, period: Any) -> None:
        query = f"?from={period['from'].replace('+', '%2B')}&to={period['to'].replace('+', '%2B')}"
        calendar = await self.api.must("GET", f"/items/{item['id']}/availability{query}")
        self._check(not calendar["busy"], "the calendar is free again")

    async def _step(self, who: str, booking: Any, what: str, expected: str, text: str) -> Any:
        done = await self.api.must("POST", f"/bookings/{booking['id']}/{what}", token=who)
        self._check(done["state"] == expected, f"{text}: {done['state']}")
        return done

    async def _review(self, booking: Any) -> None:
        path = f"/bookings/{booking['id']}/review"
        first = await self.api.must("POST", path, {"rating": 5, "text": "What a ride!"}, token=self.ben)
        second = await self.api.must("POST", path, {"rating": 5, "text": "Back on time."}, token=self.ada)
        hidden = not first["published"] and second["published"]
        self._check(hidden, "both review each other; neither saw the other's words first")

    async def _money_story(self, booking: Any) -> None:
        for name, token in (("Ben", self.ben), ("Ada", self.ada)):
            lines = (await self.api.must("GET", "/payments/statement", token=token))["data"]
            told = ", ".join(f"{line['kind']} {_amount(line)}" for line in reversed(lines))
            self.tell(f"   {name}'s statement: {told or 'nothing'}.")
        steps = (await self.api.must("GET", f"/bookings/{booking['id']}/timeline", token=self.ben))["data"]
        self.tell(f"   Its timeline: {' → '.join(s['text'] for s in steps)}.")

    def _check(self, right: bool, text: str) -> None:
        if not right:
            raise Unexpected(f"Expected that {text}; the platform does otherwise.")
        self.tell(f"   ✓ {text[0].upper()}{text[1:]}.")


def _period(*, hours: int, days: int) -> dict[str, str]:
    start = datetime.now(UTC) + timedelta(hours=hours)
    return {"from": start.isoformat(), "to": (start + timedelta(days=days)).isoformat()}


def _money(money: Any) -> str:
    return shown(Money(money["amount"], money["currency"])) if money else "nothing"


def _amount(line: Any) -> str:
    return ("-" if line["amount"] < 0 else "+") + shown(Money(abs(line["amount"]), line["currency"]))


def _lines(quote: Any) -> str:
    return f"{', '.join(line['label'] for line in quote['lines'])} = {_money(quote['total'])}"
