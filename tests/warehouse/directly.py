"""Every mart as plain Python makes it of the services' own tables: another way to the same numbers."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import namedtuple_row

LOANS = ("in_use", "returned", "completed")
BOOKED = ("confirmed", *LOANS)
Rows = list[dict[str, Any]]


def month(at: datetime | date) -> date:
    day = at.astimezone(UTC).date() if isinstance(at, datetime) else at
    return day.replace(day=1)


class Services:
    """What the services' databases have right now, as Python sees it."""

    def __init__(self, db: Mapping[str, psycopg.Connection[Any]], as_of: datetime) -> None:
        def rows(service: str, query: Any) -> list[Any]:
            return db[service].cursor(row_factory=namedtuple_row).execute(query).fetchall()

        self.today = as_of.astimezone(UTC).date()
        self.members = {m.id: m for m in rows("users", "SELECT id, status, created_at FROM members")}
        items = rows("inventory", "SELECT id, category, title, offered, created_at, deleted_at FROM items")
        self.items = {i.id: i for i in items}
        self.units = Counter(u.item_id for u in rows("inventory", "SELECT item_id FROM units WHERE retired_at IS NULL"))
        self.closed = rows("inventory", "SELECT item_id, lower(period) AS a, upper(period) AS b FROM blackouts")
        self.parents = dict(rows("inventory", "SELECT slug, parent FROM categories"))
        self.searches = rows("inventory", "SELECT hour, words, category, dated, asked, unanswered FROM searches")
        self.bookings = rows("bookings", "SELECT * FROM bookings")
        self.reviews = rows("bookings", "SELECT rating, created_at FROM reviews WHERE published")
        self.postings = rows(
            "payments",
            """
            SELECT e.id, e.kind, e.made_at, p.account, p.currency, p.amount
            FROM entries e JOIN postings p ON p.entry_id = e.id""",
        )
        self.loans = [b for b in self.bookings if b.state in LOANS]

    def known(self, member: Any) -> Any:
        """A member who was not erased, else nobody."""
        return member if member in self.members and self.members[member].status != "erased" else None

    def people(self, bookings: list[Any], role: str = "borrower_id") -> int:
        return len({self.known(getattr(b, role)) for b in bookings} - {None})

    def totals(self) -> Rows:
        offered = [i for i in self.items.values() if i.offered]
        return [
            {
                "members": sum(m.status == "active" for m in self.members.values()),
                "items_offered": len(offered),
                "units_offered": sum(self.units[i.id] for i in offered),
                "bookings": len(self.bookings),
                "loans": len(self.loans),
                "out_now": sum(b.state == "in_use" for b in self.bookings),
                "borrowers": self.people(self.loans),
                "lenders": self.people(self.loans, "owner_id"),
                "items_lent": len({b.item_id for b in self.loans}),
                "days_lent": sum(days(b) * b.quantity for b in self.loans),
            }
        ]

    def overview(self) -> Rows:
        first = min([self.today, *(begins(b) for b in self.bookings)])
        first = min(
            [first, *(x.created_at.astimezone(UTC).date() for x in (*self.members.values(), *self.items.values()))]
        )
        months = sorted({month(first + timedelta(days=n)) for n in range((self.today - first).days + 1)}, reverse=True)
        return [self._overview(m) for m in months]

    def _overview(self, m: date) -> dict[str, Any]:
        made = [b for b in self.bookings if month(b.created_at) == m]
        lent = [b for b in made if b.state in LOANS]
        states = Counter(b.state for b in made)
        joined = [x for x in self.members.values() if self.known(x.id) and month(x.created_at) == m]
        stars = [r.rating for r in self.reviews if month(r.created_at) == m]
        return {
            "month": m,
            "members_joined": len(joined),
            "items_listed": sum(month(i.created_at) == m for i in self.items.values()),
            "bookings": len(made),
            "loans": len(lent),
            "cancelled": states["cancelled"],
            "declined_or_expired": states["declined"] + states["expired"],
            "failed": states["failed"],
            "no_show": states["no_show"],
            "days_lent": sum(days(b) * b.quantity for b in lent),
            "items_lent": len({b.item_id for b in lent}),
            "borrowers": at_least_five(self.people(lent)),
            "lenders": at_least_five(self.people(lent, "owner_id")),
            "average_stars": round(sum(stars) / len(stars), 2) if len(stars) >= 5 else None,
        }

    def utilisation(self) -> Rows:
        return [self._utilisation(i) for i in self.items.values()]

    def _utilisation(self, item: Any) -> dict[str, Any]:
        units, begin = self.units[item.id], item.created_at.astimezone(UTC).date()
        end = item.deleted_at.astimezone(UTC).date() if item.deleted_at else self.today
        offered = {begin + timedelta(days=n) for n in range((end - begin).days + 1)}
        for closed in (c for c in self.closed if c.item_id == item.id):
            a, b = closed.a.astimezone(UTC).date(), closed.b.astimezone(UTC).date()
            offered -= {a + timedelta(days=n) for n in range((b - a).days + 1)}
        lent: Counter[date] = Counter()
        for b in (b for b in self.bookings if b.item_id == item.id and b.state in BOOKED):
            for n in range((ends(b) - begins(b)).days + 1):
                lent[begins(b) + timedelta(days=n)] += b.quantity
        used = {day: min(n, max(units, 1)) for day, n in lent.items() if day <= self.today}
        mine = [b for b in self.loans if b.item_id == item.id]
        share = min(1.0, sum(used.values()) / (units * len(offered))) if units and offered else None
        return {
            "item": item.id,
            "title": item.title,
            "units": units,
            "days_offered": units * len(offered),
            "days_lent": sum(used.values()),
            "utilisation": None if share is None else round(share, 4),
            "days_lent_90": sum(n for day, n in used.items() if day > self.today - timedelta(days=90)),
            "loans": len(mine),
            "last_lent_on": max(map(begins, mine), default=None),
            "late": sum(is_late(b) for b in mine),
            "damaged": sum(b.disputed for b in mine),
        }

    def demand(self) -> Rows:
        asked: defaultdict[Any, list[Any]] = defaultdict(list)
        for s in self.searches:
            if s.hour.astimezone(UTC).date() > self.today - timedelta(days=90):
                asked[s.words, s.category].append(s)
        return [
            {"words": words, "category": category, "asked": n, "unanswered": sum(s.unanswered for s in rows)}
            for (words, category), rows in asked.items()
            if (n := sum(s.asked for s in rows)) >= 5
        ]

    def retention(self) -> Rows:
        mine: defaultdict[Any, set[date]] = defaultdict(set)
        for b in self.loans:
            if borrower := self.known(b.borrower_id):
                mine[borrower].add(month(begins(b)))
        firsts = Counter(min(months) for months in mine.values())
        active = Counter((min(months), apart(min(months), m)) for months in mine.values() for m in months)
        return [
            {"cohort": cohort, "borrowers": firsts[cohort], "months_later": later, "active": at_least_five(n)}
            for (cohort, later), n in active.items()
            if firsts[cohort] >= 5
        ]

    def late(self) -> Rows:
        cells: defaultdict[Any, list[Any]] = defaultdict(list)
        for b in self.loans:
            cells[month(begins(b)), self.items[b.item_id].category].append(b)
        return [
            {
                "month": m,
                "category": category,
                "loans": len(lent),
                "late": sum(is_late(b) for b in lent) if self.people(lent) >= 5 else None,
                "damaged": sum(b.disputed for b in lent) if self.people(lent) >= 5 else None,
            }
            for (m, category), lent in cells.items()
        ]

    def money(self) -> Rows:
        sums: defaultdict[Any, Counter[str]] = defaultdict(Counter)
        entries: defaultdict[Any, set[Any]] = defaultdict(set)
        for p in self.postings:
            cell = month(p.made_at), p.currency, p.kind
            sums[cell][p.account.partition(":")[0]] += p.amount
            entries[cell].add(p.id)
        names = {"borrowers": "borrower", "owners": "owner", "rentals": "booking", "held": "held"}
        return [
            {"month": m, "currency": currency, "kind": kind, "entries": len(entries[m, currency, kind])}
            | {name: accounts[account] for name, account in names.items()}
            for (m, currency, kind), accounts in sums.items()
        ]

    def impact(self, factors: Mapping[str, Any]) -> Rows:
        first: dict[Any, date] = {}
        for b in sorted(self.loans, key=begins):
            if borrower := self.known(b.borrower_id):
                first.setdefault((borrower, self.items[b.item_id].category, begins(b).year), month(begins(b)))
        people = Counter((m, category) for (_, category, _), m in first.items())
        loans = Counter((month(begins(b)), self.items[b.item_id].category) for b in self.loans)
        return [
            {
                "month": m,
                "category": category,
                "loans": n,
                "purchases_avoided": round(people[m, category] * float(f["share_who_would_buy"]), 2),
                "kg_co2e": round(people[m, category] * float(f["share_who_would_buy"]) * float(f["kg_co2e"]), 2),
            }
            for (m, category), n in loans.items()
            for f in [factors.get(category) or factors.get(self.parents[category] or "") or factors["other"]]
        ]


def begins(b: Any) -> date:
    return b.starts_at.astimezone(ZoneInfo("Europe/Berlin")).date()


def ends(b: Any) -> date:
    return (b.ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo("Europe/Berlin")).date()


def days(b: Any) -> int:
    return max(1, (b.ends_at.astimezone(ZoneInfo("Europe/Berlin")).date() - begins(b)).days)


def is_late(b: Any) -> bool:
    past_the_end = b.returned_at is not None and b.returned_at > b.ends_at
    return b.overdue or (past_the_end and b.returned_at.astimezone(UTC).date() > b.ends_at.astimezone(UTC).date())


def at_least_five(n: int) -> int | None:
    return n if n >= 5 else None


def apart(a: date, b: date) -> int:
    return (b.year - a.year) * 12 + b.month - a.month
