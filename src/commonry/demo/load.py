"""Fills an empty platform with the demo neighbourhood: members, items, and a year of loans.

Everything goes through the public API and so through the services' own rules; the past is played by moving the clock
of this task (`kit.clock.at`). Every write has an idempotency key, so a load that was cut off is simply run again.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from commonry.demo.caller import Platform, Unexpected
from commonry.demo.neighbourhood import Neighbour, Neighbourhood, Thing, neighbourhood
from commonry.demo.plan import DAYS_BACK, Loan, year
from commonry.demo.scenes import scene
from commonry.kit import clock
from commonry.kit.peers import Peer

CARD = "pm_card_visa"
TOGETHER = 4
TALKED_ABOUT = ("requested", "confirmed", "in_use")
Say = Callable[[str, int, int], None]
"""Told what is being loaded, how many are done, and of how many."""


async def load(peer: Peer, promote: Callable[[str], Awaitable[Any]], secret: str, today: date, say: Say) -> None:
    """Load the neighbourhood through `peer`. `promote` makes a member a manager by e-mail; `secret` seeds passwords."""
    story = Story(Platform(peer), neighbourhood(), secret, today)
    await story.people(promote, say)
    await story.things(say)
    await story.pictures(say)
    loans = year(story.words, today)
    for done, loan in enumerate(loans):
        say("a year of loans", done, len(loans))
        await story.live(loan)
    await story.suspend()
    say("a year of loans", len(loans), len(loans))


class Story:
    """The load under way: who has which token, which item has which id."""

    def __init__(self, platform: Platform, words: Neighbourhood, secret: str, today: date) -> None:
        self.api, self.words, self.secret = platform, words, secret
        self.began = datetime.combine(today, datetime.min.time(), UTC) - timedelta(days=DAYS_BACK + 10)
        self.now = datetime.now(UTC)
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.chance = Random(f"{today}:words")  # noqa: S311 why: a story, not a secret

    async def people(self, promote: Callable[[str], Awaitable[Any]], say: Say) -> None:
        """Register everyone, in the past; sign them in, now."""
        for done, member in enumerate(self.words.members):
            say("neighbours", done, len(self.words.members))
            with clock.at(self.began + timedelta(days=self.chance.randint(0, 8))):
                await self._register(member)
            if member.demo == "manager":
                await promote(member.email)
            self.tokens[member.key], self.ids[member.key] = await self.api.sign_in(member.email, self._password(member))
            await self.api.must("PATCH", "/members/me", {"about": member.about}, token=self.tokens[member.key])

    async def _register(self, member: Neighbour) -> None:
        body = {"email": member.email, "password": self._password(member), "display_name": member.display_name}
        status, answer = await self.api.call("POST", "/auth/register", body, key=f"demo-{member.key}")
        if status not in (201, 409):
            raise Unexpected(f"{member.email} could not register: {answer}")

    def _password(self, member: Neighbour) -> str:
        return member.password or hashlib.sha256(f"{self.secret}:{member.key}".encode()).hexdigest()

    async def things(self, say: Say) -> None:
        """List everyone's items, in the past; mixed, as life would, so that the newest are of all kinds."""
        things = sorted(self.words.things(), key=lambda thing: hashlib.sha256(thing.key.encode()).digest())
        for done, thing in enumerate(things):
            say("things to borrow", done, len(things))
            with clock.at(self.began + timedelta(days=9, minutes=done)):
                made = await self.api.must(
                    "POST", "/items", thing.body, token=self._token(thing), key=f"demo-{thing.key}"
                )
            self.items[thing.key] = made["id"]

    async def pictures(self, say: Say) -> None:
        """Give every item its picture, some at a time: writing one anew takes a core a while."""
        things = self.words.things()
        for done in range(0, len(things), TOGETHER):
            say("pictures", done, len(things))
            await asyncio.gather(*map(self._picture, things[done : done + TOGETHER]))

    async def _picture(self, thing: Thing) -> None:
        made = await asyncio.to_thread(scene, thing.picture, thing.key)
        path = f"/items/{self.items[thing.key]}/photos"
        await self.api.send_picture(path, made, thing.body["title"], token=self._token(thing))

    def _token(self, thing: Thing) -> str:
        return self.tokens[thing.owner]

    async def live(self, loan: Loan) -> None:
        """One loan from asking to reviewing, each part at its own time. One that someone else was quicker for is
        dropped.
        """
        booked_at = min(loan.booked_at, self.now - timedelta(hours=1))
        with clock.at(booked_at):
            booking = await self._book(loan)
        if booking is None:
            return
        if booking["state"] == "requested" and loan.ending != "requested":
            with clock.at(min(booked_at + timedelta(minutes=40), self.now)):
                booking = await self._do(
                    loan.thing.owner, booking, "decline" if loan.ending == "declined" else "accept"
                )
        await self._talk(loan, booking, booked_at)
        if booking["state"] == "confirmed" and loan.ending not in ("confirmed", "requested"):
            await self._use(loan, booking)

    async def _book(self, loan: Loan) -> Any:
        body = {
            "item_id": self.items[loan.thing.key],
            "from": loan.start,
            "to": loan.end,
            "quantity": loan.quantity,
            "payment_method": CARD,
            "message": self.chance.choice(self.words.messages),
        }
        status, booking = await self.api.call(
            "POST", "/bookings", body, token=self.tokens[loan.borrower], key=f"demo-loan-{loan.number}"
        )
        return booking if status == 201 else None

    async def _talk(self, loan: Loan, booking: Any, booked_at: datetime) -> None:
        """About what is still to come the two write to each other; a request that waits is asked about."""
        if loan.ending not in TALKED_ABOUT:
            return
        words, path = self.words.talks[loan.number % len(self.words.talks)], f"/bookings/{booking['id']}/messages"
        said = [(loan.borrower, words.borrower), (loan.thing.owner, words.owner)]
        for number, (who, text) in enumerate(said[: 1 if loan.ending == "requested" else 2]):
            with clock.at(min(booked_at + timedelta(minutes=50 + 25 * number), self.now)):
                key = f"demo-{booking['id']}-says-{number}"
                await self.api.must("POST", path, {"text": text}, token=self.tokens[who], key=key)

    async def _use(self, loan: Loan, booking: Any) -> None:
        if loan.ending == "cancelled":
            with clock.at(loan.booked_at + (loan.start - loan.booked_at) / 2):
                await self._do(loan.borrower, booking, "cancel")
            return
        with clock.at(loan.start + timedelta(minutes=10)):
            booking = await self._do(loan.borrower, booking, "pickup", {"condition": "good"})
        if booking["state"] == "in_use" and loan.ending not in ("in_use", "overdue"):
            await self._give_back(loan, booking)

    async def _give_back(self, loan: Loan, booking: Any) -> None:
        late = timedelta(hours=30) if loan.ending == "late" else -timedelta(minutes=self.chance.randint(5, 90))
        who = loan.borrower if loan.ending == "disputed" else loan.thing.owner
        with clock.at(min(max(loan.end + late, loan.start + timedelta(minutes=30)), self.now)):
            booking = await self._do(who, booking, "return", {"condition": "good"})
            if loan.ending == "disputed" and booking["state"] == "returned":
                await self._do(loan.thing.owner, booking, "dispute", {"note": "One part is missing from the case."})
                return
        with clock.at(min(loan.end + timedelta(hours=40), self.now)):
            await self._review(loan, booking)

    async def _review(self, loan: Loan, booking: Any) -> None:
        reviews = self.words.reviews
        for who, texts, share in ((loan.borrower, reviews.of_item, 0.75), (loan.thing.owner, reviews.of_borrower, 0.6)):
            words = self.chance.choice(texts)
            if self.chance.random() < share:
                body = {"rating": words.rating, "text": words.text}
                await self._do(who, booking, "review", body)

    async def _do(self, who: str, booking: Any, what: str, body: Any = None) -> Any:
        path, key = f"/bookings/{booking['id']}/{what}", f"demo-{booking['id']}-{what}-{who}"
        status, answer = await self.api.call("POST", path, body, token=self.tokens[who], key=key)
        return answer if status < 400 else booking

    async def suspend(self) -> None:
        """Last, so that those who are suspended have a past too."""
        manager = self.words.who("manager")
        for member in self.words.members:
            if member.suspended:
                path = f"/members/{self.ids[member.key]}"
                await self.api.must("PATCH", path, {"status": "suspended"}, token=self.tokens[manager])
