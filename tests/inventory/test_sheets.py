"""Reading strangers' tables: encodings, headings, amounts, mistakes. Pure, so there is no database here."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.contracts.inventory import Category, Item, Location, Price
from commonry.contracts.money import EXPONENTS, Money, shown
from commonry.inventory.rules.sheets import amounts, cells
from commonry.inventory.rules.sheets.categories import matched
from commonry.inventory.rules.sheets.drafts import Asked, Sheet, completed, revised, understood
from commonry.inventory.rules.sheets.headings import columns_of, guessed, plain
from commonry.inventory.rules.sheets.writing import HEADINGS, Listed, guarded, heading_line, lines, unguarded

FILES = Path(__file__).parent / "sheets"
OWNER = UUID(int=1)
CATEGORIES = [
    Category(slug=slug, name=name)
    for slug, name in (
        ("tools", "Tools & DIY"),
        ("power-tools", "Power tools"),
        ("hand-tools", "Hand tools"),
        ("sewing", "Sewing & crafts"),
        ("garden", "Garden & balcony"),
        ("camping", "Camping & travel"),
        ("bikes", "Bikes & transport"),
        ("cargo-bikes", "Cargo bikes & trailers"),
        ("kitchen", "Kitchen & home"),
        ("kids", "Babies & children"),
        ("electronics", "Electronics & office"),
        ("books-games", "Books & games"),
        ("other", "Everything else"),
    )
]


def read(text: str | bytes, currency: str = "EUR", everywhere: dict[str, Any] | None = None, **overrides: str) -> Sheet:
    body = text if isinstance(text, bytes) else text.encode()
    return understood(body, Asked(OWNER, overrides, currency, everywhere or {}), CATEGORIES)


def said(text: str | bytes, **more: Any) -> list[dict[str, Any]]:
    sheet = read(text, **more)
    assert not sheet.mistakes, sheet.mistakes
    return [draft.said for draft in sheet.drafts]


def told(sheet: Sheet) -> list[tuple[int, str, str]]:
    return [(m.row, m.at, m.message) for m in sheet.mistakes]


def test_a_library_with_branches_is_understood():
    sheet = read((FILES / "branches.csv").read_bytes())
    assert not sheet.mistakes
    assert sheet.columns == {
        "Title": "title",
        "Category": "category",
        "Description": "description",
        "Copies": "quantity",
        "Loan period (days)": "max_hours",
        "Pick-up branches": "label",
    }
    assert not sheet.ignored
    assert sheet.categories == {
        "Power Tools": "power-tools",
        "Other Tools": "tools",
        "Baking Equipment": "kitchen",
        "Gardening Tools": "garden",
        "Measuring & Layout": "tools",
        "Circus": "other",
    }
    assert [d.row for d in sheet.drafts] == [2, 3, 4, 5, 6, 7]
    assert sheet.drafts[1].said == {
        "title": "Ladder, 8 ft",
        "category": "tools",
        "description": 'Aluminium. Carry it with two people; it is "long".',
        "quantity": 2,
        "max_hours": 14 * 24,
        "location": {"label": "Old Town Library"},
    }
    assert sheet.drafts[2].said["description"] == ""


def test_a_german_table_in_windows_1252_with_a_title_row_above():
    sheet = read((FILES / "leihladen.csv").read_bytes())
    assert not sheet.mistakes
    assert sheet.columns["Leihgebühr (€ pro Tag)"] == "price"
    assert sheet.ignored == ["Foto"]
    first, second, third = (draft.said for draft in sheet.drafts)
    assert first["description"] == "Mit Koffer.\r\nBitte sauber zurück."
    assert first["price"] == {"amount": 450, "currency": "EUR", "per": "day"}
    assert first["deposit"] == {"amount": 5000, "currency": "EUR"}
    assert second["price"] is None
    assert second["deposit"] is None
    assert third["price"]["amount"] == 123450
    assert [draft.row for draft in sheet.drafts] == [4, 5, 7]
    assert sheet.categories["Elektrowerkzeug"] == "power-tools"


def test_every_mistake_of_every_row_is_listed():
    found = told(read((FILES / "wrong.csv").read_bytes()))
    assert sorted((row, at) for row, at, _ in found) == [
        (2, "qty"),
        (3, "condition"),
        (4, "fee"),
        (4, "id"),
        (4, "max days"),
        (5, "row"),
        (6, "fee"),
    ]
    assert next(message for row, at, message in found if at == "id") == "rows 2 and 4 are the same item: both say “A1”"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_delimiter_encoding_and_line_end(delimiter: str, encoding: str, end: str):
    rows = [["Name", "Notes", "Qty"], ["Größe, A;B|C", 'two\nlines "and" a tab\t', "3"], ["Café–Mühle", "", "1"]]
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator=end).writerows(rows)
    got = said(written.getvalue().encode(encoding))
    assert [(s["title"], s["quantity"]) for s in got] == [("Größe, A;B|C", 3), ("Café–Mühle", 1)]
    assert got[0]["description"] == 'two\nlines "and" a tab'


def test_a_told_delimiter_is_believed():
    assert said("sep=|\ntitle|qty\nSaw, big|2\n")[0]["quantity"] == 2


def test_one_column_is_enough():
    assert [s["title"] for s in said("Title\nHammer, big\nSaw\n")] == ["Hammer, big", "Saw"]


def test_duplicate_headings_get_names_of_their_own():
    sheet = read("Title,Notes,Notes\nSaw,first,second\n")
    assert sheet.columns == {"Title": "title", "Notes": "description"}
    assert sheet.ignored == ["Notes (2)"]
    assert (
        said("Title,Notes,Notes\nSaw,first,second\n", **{"Notes (2)": "description", "Notes": "-"})[0]["description"]
        == "second"
    )


def test_overrides_beat_the_guess_and_unknown_headings_are_told():
    table = "Title,Label text,Leihfrist\nSaw,A fine saw,7\n"
    assert said(table, **{"Label text": "description", "Leihfrist": "max_hours"})[0] == {
        "title": "Saw",
        "description": "A fine saw",
        "max_hours": 7 * 24,
    }
    assert said(table, Title="title", Leihfrist="-")[0].get("max_hours") is None
    assert told(read(table, Nope="description"))[0][:2] == (1, "Nope")


def test_a_title_is_found_by_its_content_where_no_heading_tells():
    sheet = read("Werkstück;Menge;Foto\nHammer;1;a.jpg\nSäge;2;b.jpg\nZange;1;c.jpg\n")
    assert sheet.columns == {"Werkstück": "title", "Menge": "quantity"}
    silent = read("Title,,\nSaw,€ 3.00,x\nHoe,€ 4.00,y\n")
    assert silent.columns == {"Title": "title", "column 2": "price"}
    assert silent.ignored == ["column 3"]


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("ITEM NAME", "title"),
        ("Bezeichnung", "title"),
        ("Désignation", "title"),
        ("Item Type", "category"),
        ("Section", "category"),
        ("No. of copies", "quantity"),
        ("Stück", "quantity"),
        ("Max. loan (days)", "max_hours"),
        ("Leihfrist [Tage]", "max_hours"),
        ("Daily rate ($)", "price"),
        ("Price per week", "price"),
        ("Security Deposit (EUR)", "deposit"),
        ("Branch name", "label"),
        ("Pickup location", "label"),
        ("Barcode", "source_ref"),
        ("Item ID", "source_ref"),
        ("Lat.", "lat"),
        ("Longitude", "lon"),
        ("Street address", "address"),
        ("Purchase price", None),
        ("Late fee", None),
        ("Image name", None),
        ("Owner name", None),
        ("No.", None),
    ],
)
def test_headings_people_use(heading: str, field: str | None):
    assert guessed(columns_of([heading]), {}).get(0) == field


def test_a_purchase_price_is_not_a_rental_price_even_when_it_is_the_only_one():
    assert "price" not in said("Title,Replacement cost,Late fee\nSaw,99,5\n")[0]


@pytest.mark.parametrize(
    ("text", "currency", "amount", "code"),
    [
        ("€ 12,50", "USD", 1250, "EUR"),
        ("12.50 EUR", "USD", 1250, "EUR"),
        ("1.234,50", "EUR", 123450, "EUR"),
        ("1,234.50", "EUR", 123450, "EUR"),
        ("1 234,5 €", "EUR", 123450, "EUR"),
        ("CHF 1'234.50", "EUR", 123450, "CHF"),
        ("Fr. 12.–", "EUR", 1200, "CHF"),
        ("12,- €", "EUR", 1200, "EUR"),
        ("1,250", "EUR", 125000, "EUR"),
        ("1.250.000", "EUR", 125000000, "EUR"),
        ("1,00,000", "INR", 10000000, "INR"),
        ("0", "EUR", 0, "EUR"),
        ("0.1", "EUR", 10, "EUR"),
        ("¥1,250", "JPY", 1250, "JPY"),
        ("1250.00 JPY", "EUR", 1250, "JPY"),
        ("1.250 KWD", "EUR", 1250, "KWD"),
        ("1250,5 KWD", "EUR", 1250500, "KWD"),
        ("$5", "CAD", 500, "CAD"),
        ("$5", "EUR", 500, "USD"),
        ("100 kr", "SEK", 10000, "SEK"),
        ("99999999.99", "EUR", 9999999999, "EUR"),
    ],
)
def test_rule_13_amounts_are_read_exactly(text: str, currency: str, amount: int, code: str):
    assert amounts.amount_in(text, currency) == amounts.Said(amount, code, None)


@pytest.mark.parametrize(
    ("text", "currency", "per"),
    [
        ("5 € / day", "EUR", "day"),
        ("€5 per week", "EUR", "week"),
        ("5/h", "EUR", "hour"),
        ("3,50 €/Tag", "EUR", "day"),
        ("$4 daily", "USD", "day"),
    ],
)
def test_an_amount_may_say_for_how_long(text: str, currency: str, per: str):
    found = amounts.amount_in(text, currency)
    assert found
    assert found.per == per


@pytest.mark.parametrize("text", ["free", "FREE", "gratis", "kostenlos", "", "-", "n/a", " none "])
def test_no_amount(text: str):
    assert amounts.amount_in(text, "EUR") is None


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1,250 KWD", "EUR"),
        ("0.125", "EUR"),
        ("12.5050", "EUR"),
        ("-5", "EUR"),
        ("(5.00)", "EUR"),
        ("$-5", "USD"),
        ("12.345.67", "EUR"),
        ("1.2.3", "EUR"),
        ("12 or 15", "EUR"),
        ("5 per person", "EUR"),
        ("ask", "EUR"),
        ("100 kr", "EUR"),
        ("5 XYZ", "EUR"),
        ("1250.50 JPY", "EUR"),
        ("9" * 5000, "EUR"),
    ],
)
def test_an_amount_that_could_mean_two_things_or_none_is_refused(text: str, currency: str):
    with pytest.raises(cells.Wrong):
        amounts.amount_in(text, currency)


@given(st.integers(0, 10**12), st.sampled_from(sorted(EXPONENTS)), st.sampled_from(sorted(EXPONENTS)))
def test_rule_13_every_amount_we_write_is_read_back(amount: int, currency: str, other: str):
    assert amounts.amount_in(shown(Money(amount, currency)), other) == amounts.Said(amount, currency, None)


def test_the_currency_of_a_price_comes_from_cell_column_heading_or_request():
    table = "Title,Fee (CHF),Currency\nOne saw,5,\nTwo saws,5,GBP\nThree saws,€5,GBP\n"
    assert [s["price"]["currency"] for s in said(table)] == ["CHF", "GBP", "EUR"]
    assert said("Title,Fee\nSaw,5\n", currency="USD")[0]["price"]["currency"] == "USD"
    assert said("Title,Weekly rate\nSaw,5\n")[0]["price"]["per"] == "week"
    assert told(read("Title,Fee,Currency\nSaw,5,Taler\n"))[0][:2] == (2, "Currency")


@pytest.mark.parametrize(
    ("heading", "cell", "hours"),
    [
        ("Loan period (days)", "7", 168),
        ("Loan period", "7", 168),
        ("Loan period", "2 weeks", 336),
        ("Loan period (weeks)", "3", 504),
        ("Max hours", "36", 36),
        ("max_hours", "36", 36),
        ("Leihfrist", "14 Tage", 336),
        ("Max days", "1.5", 36),
    ],
)
def test_loan_periods_become_hours(heading: str, cell: str, hours: int):
    assert said(f"Title,{heading}\nSaw,{cell}\n")[0]["max_hours"] == hours


def test_max_days_says_that_numbers_are_days():
    sheet = read("Title,Frist\nSaw,7\n", Frist="max_days")
    assert sheet.drafts[0].said["max_hours"] == 168
    assert sheet.columns["Frist"] == "max_hours"
    assert told(read("Title,max hours\nSaw,1.5\n"))[0][:2] == (2, "max hours")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("power-tools", "power-tools"),
        ("POWER TOOLS", "power-tools"),
        ("Hand Tools", "hand-tools"),
        ("Electrical Tools", "tools"),
        ("Clamps & Jigs", "tools"),
        ("Crafting Tools", "sewing"),
        ("Bike Repair", "bikes"),
        ("Bicycles", "bikes"),
        ("Tools > Power", "power-tools"),
        ("Technology", "electronics"),
        ("Board games", "books-games"),
        ("Kinder", "kids"),
        ("Miscellaneous", "other"),
        ("Everything else", "other"),
        ("???", "other"),
    ],
)
def test_categories(theirs: str, ours: str):
    assert matched([theirs], CATEGORIES) == {theirs: ours}


def test_branches_are_shortened_to_what_a_label_may_be():
    label = said("Title,Branches\nSaw," + "; ".join(f"Branch {n}" for n in range(50)) + "\n")[0]["location"]["label"]
    assert len(label) <= 200
    assert label.endswith("…")


def test_degrees():
    got = said('Title,Lat,Lon\nSaw,"52,5",-118.25\nHoe,33.9° S,118.2° W\n')
    assert [s["location"] for s in got] == [{"lat": 52.5, "lon": -118.25}, {"lat": -33.9, "lon": -118.2}]
    assert told(read("Title,Lat,Lon\nSaw,52,\n"))[0][:2] == (2, "location")
    assert told(read("Title,Lat,Lon\nSaw,nan,inf\n"))[0][:2] == (2, "Lat")


def test_what_the_request_says_holds_where_a_row_is_silent():
    everywhere = {"handover": "self_service", "location": {"lat": 1.0, "lon": 2.0, "label": "Desk"}}
    got = said("Title,Handover,Branch\nSaw,,\nHoe,in person,Cellar\n", everywhere=everywhere)
    assert got[0]["handover"] == "self_service"
    assert got[0]["location"] == {"lat": 1.0, "lon": 2.0, "label": "Desk"}
    assert got[1]["handover"] == "in_person"
    assert got[1]["location"] == {"lat": 1.0, "lon": 2.0, "label": "Cellar"}


def test_ragged_rows_are_named_and_trailing_blanks_are_not():
    assert [(row, at) for row, at, _ in told(read("Title,Qty\nSaw\nHoe,1,extra\nAxe,1\n"))] == [(2, "row"), (3, "row")]
    assert len(said("Title,Qty,,\nSaw,1,,\nHoe,1,,,,,\n")) == 2


def test_a_row_with_a_cell_too_many_is_not_taken_apart_from_its_neighbours():
    sheet = read("Title,Qty\nSaw, big,1\nHoe,x\n")
    assert [(row, at) for row, at, _ in told(sheet)] == [(2, "row"), (3, "Qty")]


@pytest.mark.parametrize(
    ("body", "row", "words"),
    [
        (b"", 1, "empty"),
        (b"\n\r\n \n", 1, "empty"),
        (b"\xef\xbb\xbf", 1, "empty"),
        (b"PK\x03\x04rest", 1, "workbook"),
        (b"%PDF-1.7", 1, "PDF"),
        (b"\xff\xfea", 1, "UTF-16"),
        (b"1,2\n3,4\n", 1, "headings"),
        (b"description,qty\n5,1\n", 1, "title"),
        (b'title,notes\nSaw,"open\nHoe,x\n', 2, "never closed"),
        (b'title,notes\nSaw,"a"b\n', 2, "twice"),
        (b"title,notes\nSaw,a\0b\n", 2, "NUL"),
        (b"title,notes\nSaw," + b"x" * 2**20 + b"\n", 2, "131,072"),
        (b"title" + b",x" * 600 + b"\n", 1, "at most 200"),
        (b"title\nSaw\n" + b"," * 2**20, 3, "at most 200"),
        (b"title\n" + b"\n" * 2**20, 100_001, "at most 100,000 rows"),
    ],
    ids="empty blank mark workbook pdf half nameless titleless open quote nul cell heading row lines".split(),
)
def test_hostile_and_hopeless_files_get_a_clear_answer(body: bytes, row: int, words: str):
    found = told(read(body))
    assert found[0][0] == row
    assert words in found[0][2]


def test_more_than_20000_rows_are_refused_quickly_and_blank_ones_do_not_count():
    began = time.perf_counter()
    body = b"title,qty\n" + b"".join(b"Thing %d,1\n" % n for n in range(100_000))
    ((row, _, message),) = told(read(body))
    assert row == 20_002
    assert "20,000" in message
    assert time.perf_counter() - began < 5
    exact = b"title,qty\n" + b"".join(b"Thing %d,1\n\n" % n for n in range(20_000))
    assert len(said(exact)) == 20_000


def test_titles_that_meet_twice_name_both_rows():
    assert told(read("Title\nSaw\nHoe\nSaw\n")) == [(4, "Title", "rows 2 and 4 are the same item: both say “Saw”")]


def test_whose_an_item_is_cannot_be_imported():
    ((row, at, _),) = told(read(f"title,owner_id\nSaw,{OWNER}\nHoe,{UUID(int=2)}\n"))
    assert (row, at) == (3, "owner_id")


def test_a_new_item_takes_defaults_and_an_old_one_keeps_what_the_file_does_not_say():
    draft = read("Title,Branch,Fee\nSaw,Cellar,\n").drafts[0]
    place = {"lat": 1.0, "lon": 2.0, "label": "Town"}
    assert completed(draft, place)["category"] == "other"
    assert completed(draft, place)["location"] == {"lat": 1.0, "lon": 2.0, "label": "Cellar"}
    present = {
        "title": "Saw",
        "quantity": 3,
        "price": {"amount": 1},
        "location": {"lat": 8.0, "lon": 9.0, "label": "Loft"},
    }
    assert revised(draft, present) == {
        "title": "Saw",
        "quantity": 3,
        "price": None,
        "location": {"lat": 8.0, "lon": 9.0, "label": "Cellar"},
    }


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''@", "'", "plain", "don't", ""])
def test_formulas_are_neutralised_and_come_back(text: str):
    assert guarded(text)[:1] not in tuple("=+-@\t\r")
    assert unguarded(guarded(text)) == text


def an_item(**changes: Any) -> Item:
    moment = "2026-01-01T00:00:00Z"
    fields = {
        "id": UUID(int=7),
        "owner_id": OWNER,
        "title": "Saw",
        "description": "",
        "category": "tools",
        "condition": "good",
        "location": Location(-33.9, -118.25, "Cellar"),
        "time_zone": "Europe/Berlin",
        "price": Price(1250, "EUR", "week"),
        "deposit": None,
        "quantity": 2,
        "buffer_minutes": 90,
        "min_hours": 1,
        "max_hours": 100,
        "notice_hours": 5,
        "horizon_days": 30,
        "booking_mode": "request",
        "handover": "self_service",
        "cancellation": "strict",
        "status": "unlisted",
        "version": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    return Item(**(fields | changes))  # pyright: ignore[reportArgumentType]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60) | st.sampled_from(
    ["=1+1\n", '"', "'=", "a\r\nb", "\r", "\n", ";", "\t|", " x ", "\u2028", "\x85", "\x1c", "﻿"]
)


@given(TEXTS.filter(str.strip), TEXTS, TEXTS.filter(str.strip), TEXTS)
def test_our_own_table_comes_back_exactly(title: str, description: str, label: str, address: str):
    item = an_item(title=title, description=description, location=Location(1e-05, -180.0, label, address or None))
    written = heading_line(owners=False) + lines([Listed(item, "=ref")], owners=False)
    sheet = read(written)
    assert not sheet.mistakes
    assert sheet.drafts[0].ref == "=ref"
    assert sheet.drafts[0].said == {
        "title": title,
        "description": description,
        "category": "tools",
        "condition": "good",
        "location": {"lat": 1e-05, "lon": -180.0, "label": label, "address": address or None},
        "time_zone": "Europe/Berlin",
        "price": {"amount": 1250, "currency": "EUR", "per": "week"},
        "deposit": None,
        "quantity": 2,
        "buffer_minutes": 90,
        "min_hours": 1,
        "max_hours": 100,
        "notice_hours": 5,
        "horizon_days": 30,
        "booking_mode": "request",
        "handover": "self_service",
        "cancellation": "strict",
        "status": "unlisted",
    }


def test_an_item_without_a_ref_is_exported_under_its_id():
    written = heading_line(owners=True) + lines([Listed(an_item(), None)], owners=True)
    (row,) = csv.DictReader(io.StringIO(written))
    assert row["source_ref"] == str(UUID(int=7))
    assert row["owner_id"] == str(OWNER)
    assert list(row) == [*HEADINGS, "owner_id"]
    assert row["lat"] == "-33.9"


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_in_a_file_makes_it_fail(body: bytes):
    for start in (b"", b"title,qty,price,lat,lon,loan period,category\n"):
        sheet = read(start + body)
        json.dumps([sheet.columns, list(sheet.ignored), sheet.categories])
        assert all(m.row >= 1 and m.message for m in sheet.mistakes)


def test_plain():
    assert plain("  Pick-up  Branch(es): ") == "pick up branch es"
