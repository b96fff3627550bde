"""A community that lives at random, straight in the services' tables: books, pays, reviews, deletes, is erased.

With `late`, a change is made in a transaction that stays open: it is dated now and committed when somebody says so.
"""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from commonry.kit.postgres import EmbeddedPostgres
from commonry.run import OWNERS

NEXT = {
    "pending": ["requested", "confirmed", "failed"],
    "requested": ["confirmed", "declined", "expired", "cancelled"],
    "confirmed": ["in_use", "cancelled", "no_show"],
    "in_use": ["returned"],
    "returned": ["completed"],
}
ENDS = ("completed", "failed", "declined", "expired", "cancelled", "no_show")
CATEGORIES = ("tools", "power-tools", "camping", "bikes", "kitchen", "other")
Connection = psycopg.Connection[Any]


class Life:
    """One community, and what it does next."""

    def __init__(self, server: EmbeddedPostgres, databases: Mapping[str, str], seed: int) -> None:
        self.chance = random.Random(seed)
        self._urls = {service: server.url(databases[service]) for service in OWNERS}
        self.db = {service: psycopg.connect(url, autocommit=True) for service, url in self._urls.items()}
        self._late: list[Connection] = []
        for _ in range(12):
            self.join()
        for _ in range(10):
            self.list_item()

    def close(self) -> None:
        self.commit_late()
        for connection in self.db.values():
            connection.close()

    def step(self, how_often: int = 1) -> None:
        """Something happens; more often what is usual."""
        usual = [self.book] * 6 + [self.go_on] * 14 + [self.pay] * 6
        seldom = [self.review, self.edit, self.close_days, self.open_days, self.search, self.join, self.list_item]
        rare = [self.remove_item, self.retire, self.erase, self.suspend]
        every: list[Callable[[], None]] = usual + seldom * 2 + rare
        for _ in range(how_often):
            self.chance.choice(every)()

    def late(self) -> None:
        """Changes of now, in every service, that are not committed yet; of rows that nobody else would wait for."""
        usual = self.db
        patient = "-c idle_in_transaction_session_timeout=0"  # the machine may be slow
        self.db = {service: psycopg.connect(url, options=patient) for service, url in self._urls.items()}
        self._late += self.db.values()
        try:
            self.book()
            self.pay(new=True)
            self.search("tarpaulin")
            self.join()
            self.list_item()
        finally:
            self.db = usual

    def commit_late(self) -> None:
        """Now they are."""
        for connection in self._late:
            connection.commit()
            connection.close()
        self._late = []

    # --- what may happen ---

    def join(self) -> None:
        at, member = self._past(300), self._id()
        self.db["users"].execute(
            """
            INSERT INTO members (id, email, display_name, password_hash, created_at)
            VALUES (%s, %s, 'Somebody', 'none', %s)""",
            [member, f"{member}@example.org", at],
        )

    def list_item(self) -> None:
        item, units = self._id(), self.chance.randint(1, 3)
        self.db["inventory"].execute(
            """
            WITH item AS (
                INSERT INTO items (id, owner_id, title, category, condition, lat, lon, place_label, time_zone,
                    buffer_minutes, min_hours, max_hours, notice_hours, horizon_days, booking_mode, handover,
                    cancellation, created_at)
                VALUES (%s, %s, %s, %s, 'good', 52.5, 13.4, 'Here', 'Europe/Berlin', 0, 1, 720, 0, 365, 'instant',
                    'in_person', 'moderate', %s)
                RETURNING id)
            INSERT INTO units (id, item_id, label)
            SELECT gen_random_uuid(), id, 'A' FROM item, generate_series(1, %s)""",
            [item, self._member(), f'A "{item}",\nthing', self.chance.choice(CATEGORIES), self._past(300), units],
        )

    def book(self) -> None:
        owner, borrower = self._member(), self._member()
        if owner == borrower:
            return
        made = self._past(120)
        starts = made + timedelta(days=self.chance.randint(0, 5), hours=self.chance.randint(0, 23))
        ends = starts + timedelta(hours=self.chance.choice([2, 24, 48, 75, 200]))
        money = Jsonb({"amount": self.chance.randint(1, 9999), "currency": self.chance.choice(["EUR", "JPY"])})
        total = money if self.chance.random() < 0.6 else None
        self._told(
            """
            INSERT INTO bookings (id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, terms, tiers, lines,
                total, state, step, created_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '[]', '[]', %s, 'pending', 'hold', %s) RETURNING id, state""",
            [
                *(self._id(), self._any("inventory", "items"), borrower, owner, starts, ends),
                *(self.chance.randint(1, 2), Jsonb({"time_zone": "Europe/Berlin"}), total, made),
            ],
        )

    def go_on(self) -> None:
        found = self.db["bookings"].execute("SELECT id, state FROM bookings WHERE state = ANY (%s)", [list(NEXT)])
        rows = sorted(found.fetchall())
        if not rows:
            return
        booking, state = self.chance.choice(rows)
        following = self.chance.choice(NEXT[state])
        late = timedelta(hours=self.chance.choice([-5, 0, 30, 100]))
        self._told(
            """
            UPDATE bookings SET state = %(to)s,
                overdue = overdue OR (%(to)s = 'returned' AND %(late)s > interval '1 day'),
                picked_up_at = CASE WHEN %(to)s = 'in_use' THEN starts_at ELSE picked_up_at END,
                returned_at = CASE WHEN %(to)s = 'returned' THEN ends_at + %(late)s ELSE returned_at END,
                disputed = %(to)s = 'returned' AND %(late)s > interval '2 days',
                completed_at = CASE WHEN %(to)s = 'completed' THEN app_now() ELSE completed_at END
            WHERE id = %(id)s RETURNING id, state""",
            {"to": following, "late": late, "id": booking},
        )

    def pay(self, *, new: bool = False) -> None:
        """A payment is made, taken or given back; the ledger has each."""
        db = self.db["payments"]
        known = db.execute("SELECT id, amount, captured, refunded, currency FROM payments").fetchall()
        if new or len(known) < 3 or self.chance.random() < 0.4:
            amount, payer = self.chance.randint(1, 5000), self._member()
            currency = self.chance.choice(["EUR", "JPY"])
            db.execute(
                """
                INSERT INTO payments (id, booking_id, purpose, status, amount, currency, method, payer, payee, provider)
                VALUES (%s, %s, 'rental', 'authorised', %s, %s, 'card', %s, %s, 'sandbox')""",
                [self._id(), self._id(), amount, currency, payer, self._member()],
            )
            self._posted("authorise", currency, ("limit:x", -amount), ("held:x", amount))
            return
        payment, amount, captured, refunded, currency = self.chance.choice(sorted(known))
        if captured == 0:
            db.execute("UPDATE payments SET status = 'captured', captured = amount WHERE id = %s", [payment])
            memo = ("held:x", -amount), ("limit:x", amount)
            self._posted("capture", currency, *memo, (f"borrower:{payment}", -amount), ("booking:x", amount))
        elif refunded < captured:
            db.execute("UPDATE payments SET refunded = refunded + 1 WHERE id = %s", [payment])
            self._posted("refund", currency, ("booking:x", -1), (f"borrower:{payment}", 1))

    def review(self) -> None:
        self.db["bookings"].execute(
            """
            INSERT INTO reviews (id, booking_id, side, item_id, author_id, subject_id, rating, text, publish_at,
                published)
            SELECT gen_random_uuid(), id, 'borrower', item_id, borrower_id, owner_id, %s, '', now(), %s
            FROM bookings WHERE state = 'completed' ORDER BY id LIMIT 1 OFFSET %s ON CONFLICT DO NOTHING""",
            [self.chance.randint(1, 5), self.chance.random() < 0.5, self.chance.randint(0, 20)],
        )
        self.db["bookings"].execute(
            "UPDATE reviews SET published = true WHERE rating = %s", [self.chance.randint(1, 5)]
        )

    def edit(self) -> None:
        item = self._any("inventory", "items")
        title = self.chance.choice(["Drill", "", "Ünïcode ☃", 'with "quotes", commas', "\\N", "two\nlines", "=1+1"])
        self.db["inventory"].execute("UPDATE items SET title = %s WHERE id = %s", [title, item])

    def close_days(self) -> None:
        self.db["inventory"].execute(
            "INSERT INTO blackouts (id, item_id, period) VALUES (%s, %s, tstzrange(%s, %s))",
            [self._id(), self._any("inventory", "items"), (at := self._past(100)), at + timedelta(days=3)],
        )

    def open_days(self) -> None:
        self.db["inventory"].execute("DELETE FROM blackouts WHERE id = (SELECT id FROM blackouts ORDER BY id LIMIT 1)")

    def search(self, words: str = "") -> None:
        words = words or self.chance.choice(["tent", "drill", "cargo bike"])
        self.db["inventory"].execute(
            """
            INSERT INTO searches (hour, words, category, dated, asked, unanswered)
            VALUES (date_trunc('hour', now()), %s, '', %s, 1, 1) ON CONFLICT (hour, words, category, dated)
            DO UPDATE SET asked = searches.asked + 1, unanswered = searches.unanswered + %s""",
            [words, self.chance.random() < 0.5, self.chance.randint(0, 1)],
        )

    def remove_item(self) -> None:
        item = self._any("inventory", "items")
        self.db["inventory"].execute("UPDATE items SET deleted_at = now() WHERE id = %s", [item])

    def retire(self) -> None:
        self.db["inventory"].execute(
            "UPDATE units SET retired_at = now() WHERE id = %s", [self._any("inventory", "units")]
        )

    def erase(self) -> None:
        self.db["users"].execute(
            """
            UPDATE members SET status = 'erased', display_name = 'gone', about = '', email = NULL, password_hash = NULL,
                erased_at = now() WHERE id = %s""",
            [self._member()],
        )

    def suspend(self) -> None:
        self.db["users"].execute(
            "UPDATE members SET status = 'suspended' WHERE id = %s AND status = 'active'", [self._member()]
        )

    # --- small parts ---

    def _told(self, change: Any, about: Any) -> None:
        for booking, state in self.db["bookings"].execute(change, about).fetchall():
            self.db["bookings"].execute(
                "INSERT INTO timeline (booking_id, event, text, state, at) VALUES (%s, 'x', 'x', %s, %s)",
                [booking, state, self._past(1)],
            )

    def _posted(self, kind: str, currency: str, *lines: tuple[str, int]) -> None:
        entry = self._id()
        with self.db["payments"].transaction():  # the entry must balance when it is committed
            self.db["payments"].execute(
                "INSERT INTO entries (id, booking_id, kind, cause, made_at) VALUES (%s, NULL, %s, %s, %s)",
                [entry, kind, str(entry), self._past(200)],
            )
            for account, amount in lines:
                self.db["payments"].execute(
                    "INSERT INTO postings VALUES (%s, %s, %s, %s)", [entry, account, currency, amount]
                )

    def _past(self, days: int) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.chance.randint(0, days * 86_400))

    def _id(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def _member(self) -> UUID:
        return self._any("users", "members")

    def _any(self, service: str, table: str) -> UUID:
        query: Any = f"SELECT id FROM {table} ORDER BY id"
        return self.chance.choice([key for (key,) in self.db[service].execute(query)])
