"""Fills four empty databases with a community of any size, quickly: what a year or ten of sharing leaves behind.

Written past the triggers, as history is; so each row's `changed_at` is said here, spread over the past.
"""

from collections.abc import Sequence

import psycopg

from commonry.kit import migrate
from commonry.kit.postgres import EmbeddedPostgres
from commonry.run import OWNERS, migrations

USERS = """
    INSERT INTO members (id, email, display_name, password_hash, created_at, changed_at)
    SELECT pg_temp.named('m', n), n || '@example.org', 'Member ' || n, 'none', at, at
    FROM generate_series(0, %(members)s - 1) n,
        LATERAL (SELECT now() - interval '900 days' + n * interval '1 minute' AS at) t"""
ITEMS = """
    INSERT INTO items (id, owner_id, title, category, condition, lat, lon, place_label, time_zone, price_amount,
        price_currency, price_per, buffer_minutes, min_hours, max_hours, notice_hours, horizon_days, booking_mode,
        handover, cancellation, created_at, changed_at)
    SELECT pg_temp.named('i', n), pg_temp.named('m', n %% %(members)s), 'Thing ' || n,
        (ARRAY['power-tools', 'camping', 'bikes', 'kitchen', 'party', 'other'])[1 + n %% 6], 'good',
        52.4 + (n %% 200) / 1000.0, 13.3 + (n %% 300) / 1000.0, 'Here', 'Europe/Berlin', 500 + n %% 1000, 'EUR', 'day',
        0, 1, 720, 0, 365, 'instant', 'in_person', 'moderate', at, at
    FROM generate_series(0, %(items)s - 1) n,
        LATERAL (SELECT now() - interval '800 days' + n * interval '1 minute' AS at) t"""
UNITS = """
    INSERT INTO units (id, item_id, label, changed_at)
    SELECT pg_temp.named('u', n), pg_temp.named('i', n %% %(items)s), 'A' || n, now() - interval '700 days'
    FROM generate_series(0, %(items)s * 3 / 2 - 1) n"""
BOOKINGS = """
    INSERT INTO bookings (id, item_id, borrower_id, owner_id, starts_at, ends_at, quantity, terms, tiers, lines, total,
        deposit, state, step, picked_up_at, returned_at, completed_at, created_at, updated_at, changed_at)
    SELECT pg_temp.named('b', n), pg_temp.named('i', n %% %(items)s),
        pg_temp.named('m', (n %% %(items)s %% %(members)s + 1 + n / %(items)s %% (%(members)s - 1)) %% %(members)s),
        pg_temp.named('m', n %% %(items)s %% %(members)s), at + interval '2 days', at + interval '2 days' + length, 1,
        '{"time_zone": "Europe/Berlin", "title": "Thing"}', '[]', '[]',
        CASE WHEN n %% 2 = 0 THEN jsonb_build_object('amount', 500 + n %% 1000, 'currency', 'EUR') END, NULL,
        CASE WHEN n %% 10 < 8 THEN 'completed' WHEN n %% 10 = 8 THEN 'cancelled' ELSE 'declined' END, 'over',
        CASE WHEN n %% 10 < 8 THEN at + interval '2 days' END,
        CASE WHEN n %% 10 < 8 THEN at + interval '2 days' + length END,
        CASE WHEN n %% 10 < 8 THEN at + interval '4 days' + length END, at, at, at
    FROM generate_series(0, %(bookings)s - 1) n,
        LATERAL (SELECT now() - interval '700 days' + n * (interval '690 days' / %(bookings)s) AS at,
            (1 + n %% 4) * interval '1 day' AS length) t"""
TIMELINE = """
    INSERT INTO timeline (booking_id, at, event, text, state)
    SELECT b.id, b.created_at + s.n * interval '1 minute', s.state, 'As it went', s.state
    FROM bookings b,
        LATERAL (VALUES (0, 'pending'), (1, 'confirmed'),
            (2, CASE WHEN b.state = 'completed' THEN 'in_use' ELSE b.state END), (3, b.state)) AS s (n, state)"""
REVIEWS = """
    INSERT INTO reviews (id, booking_id, side, item_id, author_id, subject_id, rating, text, publish_at, published,
        created_at, changed_at)
    SELECT pg_temp.named('r', row_number() OVER ()), id, 'borrower', item_id, borrower_id, owner_id,
        3 + extract(day FROM created_at)::int %% 3, '', created_at, true, created_at, created_at
    FROM bookings WHERE state = 'completed' AND total IS NOT NULL AND ends_at < now() - interval '300 days'"""
PAYMENTS = """
    INSERT INTO payments (id, booking_id, purpose, status, amount, currency, captured, refunded, paid_out, method,
        payer, payee, provider, created_at, changed_at)
    SELECT pg_temp.named('p', n), pg_temp.named('b', n), 'rental', 'captured', 500 + n %% 1000, 'EUR',
        500 + n %% 1000, 0, true, 'card', pg_temp.named('m', n %% %(members)s),
        pg_temp.named('m', (n + 1) %% %(members)s), 'sandbox', at, at
    FROM generate_series(0, %(bookings)s - 1, 2) n,
        LATERAL (SELECT now() - interval '700 days' + n * (interval '690 days' / %(bookings)s) AS at) t"""
ENTRIES = """
    INSERT INTO entries (id, booking_id, kind, cause, made_at, changed_at)
    SELECT pg_temp.named('e', row_number() OVER ()), p.booking_id, kind, kind || p.booking_id, p.created_at,
        p.created_at
    FROM payments p, unnest(ARRAY['authorise', 'capture', 'payout']) kind"""
POSTINGS = """
    INSERT INTO postings (entry_id, account, currency, amount)
    SELECT e.id, line.account, 'EUR', line.amount
    FROM entries e JOIN payments p ON p.booking_id = e.booking_id,
        LATERAL (VALUES ('authorise', 'limit:' || p.payer, -p.amount), ('authorise', 'held:' || p.booking_id, p.amount),
            ('capture', 'held:' || p.booking_id, -p.amount), ('capture', 'limit:' || p.payer, p.amount),
            ('capture', 'borrower:' || p.payer, -p.amount), ('capture', 'booking:' || p.booking_id, p.amount),
            ('payout', 'booking:' || p.booking_id, -p.amount), ('payout', 'owner:' || p.payee, p.amount))
        AS line (kind, account, amount)
    WHERE line.kind = e.kind"""
NAMED = """
    CREATE FUNCTION pg_temp.named(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(ascii(kind)), 12, '0'))::uuid"""
"""Ids in the order of time, as real ones are: indexes over them stay quick."""
HISTORY = {
    "users": (USERS,),
    "inventory": (ITEMS, UNITS),
    "bookings": (BOOKINGS, TIMELINE, REVIEWS),
    "payments": (PAYMENTS, ENTRIES, POSTINGS),
}


def fill(
    server: EmbeddedPostgres, bookings: int, *, prefix: str = "", services: Sequence[str] = OWNERS
) -> dict[str, str]:
    """New databases with so much history; the URL at which the warehouse reads each of them."""
    sizes = {"bookings": bookings, "members": max(10, bookings // 50), "items": max(20, bookings // 50)}
    names = {service: f"{prefix}{service}" for service in services}
    server.create_databases(list(names.values()))
    for service, name in names.items():
        migrate.upgrade(server.url(name), migrations(service))
        with psycopg.connect(server.url(name, "postgres"), autocommit=True) as connection:
            connection.execute(
                "SET session_replication_role = replica; SET work_mem = '256MB'; SET synchronous_commit = off"
            )
            connection.execute(NAMED)
            for statement in HISTORY[service]:
                connection.execute(statement, sizes)
            connection.execute("VACUUM ANALYZE")
    return {service: server.url(name, f"{name}_reader") for service, name in names.items()}


CHANGE = {
    "bookings": """
        UPDATE bookings SET overdue = NOT overdue
        WHERE id IN (SELECT pg_temp.named('b', n * 7) FROM generate_series(1, %(n)s) n)""",
    "payments": """
        UPDATE payments SET updated_at = now()
        WHERE id IN (SELECT pg_temp.named('p', n * 14) FROM generate_series(1, %(n)s / 2) n)""",
}


def change(server: EmbeddedPostgres, rows: int, *, prefix: str = "") -> None:
    """So many bookings change, and half as many payments, all over the history."""
    for service, statement in CHANGE.items():
        with psycopg.connect(server.url(f"{prefix}{service}"), autocommit=True) as connection:
            connection.execute(NAMED)
            connection.execute(statement, {"n": rows})
