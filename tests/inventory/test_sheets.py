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
from commonry.inventory.rules.sheets.categories import matched
from commonry.inventory.rules.sheets.drafts import Asked, Sheet, understood
from commonry.inventory.rules.sheets.headings import columns_of, guessed, plain
from commonry.inventory.rules.sheets.matching import Known, completed, matched_items, revised, too_many_units
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
        (4, "max days"),
        (5, "row"),
        (6, "fee"),
    ]


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
    began = time.process_time()
    body = b"title,qty\n" + b"".join(b"Thing %d,1\n" % n for n in range(100_000))
    ((row, _, message),) = told(read(body))
    assert row == 20_002
    assert "20,000" in message
    assert time.process_time() - began < 5
    exact = b"title,qty\n" + b"".join(b"Thing %d,1\n\n" % n for n in range(20_000))
    assert len(said(exact)) == 20_000


def meant(table: str, *known: Known) -> tuple[dict[int, UUID], list[tuple[int, str, str]]]:
    found, mistakes = matched_items(read(table), known)
    return found, [(m.row, m.at, m.message) for m in mistakes]


def test_rows_that_would_be_one_item_are_both_named():
    assert meant("Title\nSaw\nHoe\nSaw\n") == ({}, [(4, "Title", "rows 2 and 4 are the same item: “Saw”")])
    assert meant("SKU,Title\nA,Saw\nB,Saw\nA,Hoe\n")[1] == [(4, "SKU", "rows 2 and 4 are the same item: “A”")]
    by_id = Known(UUID(int=9), None, "Saw")
    assert meant(f"SKU,Title\n,Saw\n{by_id.id},Axe\n", by_id)[1][0][:2] == (3, "SKU")


def test_a_row_means_the_item_of_its_ref_or_id_and_without_one_of_its_title():
    saw, hoe = Known(UUID(int=8), "B1", "Saw"), Known(UUID(int=9), None, "Hoe")
    table = f"SKU,Title\nB1,New name\n{hoe.id},Also new\nB2,Saw\n"
    assert meant(table, saw, hoe) == ({2: saw.id, 3: hoe.id}, [])
    assert meant("Title\nSaw\nAxe\n", saw, hoe) == ({2: saw.id}, [])
    assert meant("Title\nSaw\n", saw, saw._replace(id=UUID(int=7)))[1][0][:2] == (2, "Title")


def test_one_file_has_at_most_100000_units():
    few = read("title,qty\n" + "".join(f"Thing {n},1000\n" for n in range(100)))
    assert not too_many_units(few.drafts)
    many = read("title,qty\n" + "".join(f"Thing {n},1000\n" for n in range(101)))
    assert [m.row for m in too_many_units(many.drafts)] == [102]


def test_whose_an_item_is_cannot_be_imported():
    ((row, at, _),) = told(read(f"title,owner_id\nSaw,{OWNER}\nHoe,{UUID(int=2)}\n"))
    assert (row, at) == (3, "owner_id")


def test_a_new_item_takes_defaults_and_an_old_one_keeps_what_the_file_does_not_say():
    draft = read("Title,Branch,Fee\nSaw,Cellar,\n").drafts[0]
    place = {"lat": 1.0, "lon": 2.0, "label": "Town"}
    new = completed(draft, {"location": place, "time_zone": "Europe/Berlin"})
    assert (new["category"], new["time_zone"]) == ("other", "Europe/Berlin")
    assert new["location"] == {"lat": 1.0, "lon": 2.0, "label": "Cellar", "address": None}
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
        "location": {"lat": 8.0, "lon": 9.0, "label": "Cellar", "address": None},
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
