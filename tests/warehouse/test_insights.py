"""What people see of the warehouse: numbers that are the marts', drawings for a page, a month's report."""

import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from commonry.cli.program import commonry as program
from commonry.warehouse.insights import plots
from commonry.warehouse.insights.figures import SHAPES, figures, last_months
from commonry.warehouse.insights.report import headlines, report
from commonry.warehouse.serving import everything

OCTOBER = date(2026, 10, 1)
NASTY = "<script>alert(\"x\")</script> & 'more'"


def month(first, **more):
    row = dict.fromkeys(("loans", "days_lent", "items_lent", "members_joined"), 0) | {"month": first, "borrowers": None}
    return row | more


MARTS = {
    "overview": [
        month(OCTOBER, loans=7, days_lent=19, items_lent=6, members_joined=3, borrowers=6),
        month(date(2026, 9, 1), loans=23),
        month(date(2025, 10, 1), loans=99),
    ],
    "utilisation": [
        {"category": "power-tools", "days_lent": 30, "days_offered": 100},
        {"category": "power-tools", "days_lent": 20, "days_offered": 100},
        {"category": "camping", "days_lent": 0, "days_offered": 0},
    ],
    "demand": [
        {"words": NASTY, "category": "", "unanswered": 12},
        {"words": "tent", "category": "", "unanswered": 0},
    ],
    "retention": [
        {"cohort": OCTOBER, "months_later": 0, "borrowers": 10, "active": 10},
        {"cohort": OCTOBER, "months_later": 1, "borrowers": 10, "active": 6},
        {"cohort": date(2026, 9, 1), "months_later": 1, "borrowers": 30, "active": 6},
        {"cohort": date(2026, 9, 1), "months_later": 2, "borrowers": 30, "active": None},
    ],
    "money": [
        {"month": OCTOBER, "currency": "EUR", "kind": "payout", "entries": 4, "owners": 15600},
        {"month": OCTOBER, "currency": "EUR", "kind": "capture", "entries": 4, "owners": 0},
        {"month": OCTOBER, "currency": "JPY", "kind": "payout", "entries": 1, "owners": 900},
    ],
    "impact": [{"month": OCTOBER, "category": "tools", "purchases_avoided": 2.4, "kg_co2e": 42.0}],
    "late": [],
    "totals": [],
}


def rows(name):
    return next(f.rows for f in figures(MARTS, OCTOBER) if f.name == name)


def test_a_month_counts_what_the_mart_says_and_twelve_are_shown():
    shown = dict(rows("loans"))
    assert (shown["Oct 26"], shown["Sep 26"]) == ("7", "23")
    assert "Oct 25" not in shown
    assert last_months(OCTOBER)[0] == date(2025, 11, 1)
    assert last_months(date(2026, 1, 1))[::11] == [date(2025, 2, 1), date(2026, 1, 1)]


def test_shares_are_of_all_of_a_kind():
    assert rows("utilisation") == [["Power tools", "25 %"]]
    assert rows("retention") == [["1 later", "30 %"]]  # 12 of 40; what is about too few counts nowhere


def test_only_what_was_looked_for_in_vain_and_the_main_currency():
    assert rows("demand") == [[NASTY, "12"]]
    assert rows("money") == [["Oct 26", "156 EUR"]]


def test_nothing_yet_is_no_figure():
    empty: dict[str, list[dict[str, object]]] = {name: [] for name in MARTS}
    assert all(f.is_empty for f in figures(empty, OCTOBER))
    page = report(empty, OCTOBER, datetime(2026, 11, 1, tzinfo=UTC), "Here")
    assert "Nothing was lent in this month" in page
    assert "<svg" not in page


def test_a_drawing_is_whole_and_says_in_words_what_it_shows():
    for figure in figures(MARTS, OCTOBER):
        drawn = ET.fromstring(figure.svg)
        assert drawn.get("role") == "img"
        title, about = drawn.find("{*}title"), drawn.find("{*}desc")
        assert title is not None
        assert title.text == figure.title
        assert about is not None
        assert about.text
        assert not [e for e in drawn.iter() if e.tag.endswith(("script", "style")) or "style" in e.attrib]
        for box in drawn.findall(".//{*}rect"):
            assert float(box.get("width", "-1")) >= 0
            assert float(box.get("height", "-1")) >= 0
            assert 0 <= float(box.get("x", "-1")) <= plots.WIDTH
    assert len(figures(MARTS, OCTOBER)) == len(SHAPES)


def test_the_tallest_column_is_the_greatest_and_heights_are_in_proportion():
    drawn = ET.fromstring(plots.columns("T", [("a", 10.0), ("b", 5.0), ("c", None), ("d", 0.0)], lambda v: f"{v:.0f}"))
    tall = [float(e.get("height", "0")) for e in drawn.findall(".//{*}rect")]
    assert tall[0] == pytest.approx(2 * tall[1], abs=0.2)
    assert tall[2] == 0
    assert "c: too few to say" in (drawn.findtext("{*}desc") or "")


def test_headlines_are_the_months_own_and_tell_nothing_of_a_few():
    told = {words: number for number, words in headlines(MARTS, OCTOBER)}
    assert told["loans"] == "7"
    assert told["people who borrowed"] == "6"
    assert told["paid out to owners"] == "156 EUR"
    assert told["CO₂e saved (estimate)"] == "42 kg"
    before = {words: number for number, words in headlines(MARTS, date(2026, 9, 1))}
    assert before["people who borrowed"] == "fewer than 5"
    assert "paid out to owners" not in before


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("href", "src")]


def test_a_report_is_one_page_that_fetches_nothing_and_runs_nothing():
    page = report(MARTS, OCTOBER, datetime(2026, 11, 1, 8, 30, tzinfo=UTC), NASTY)
    seen = Tags(page)
    assert "script" not in seen.tags
    assert seen.links == []
    assert NASTY not in page
    assert "Sharing in October 2026" in page
    assert "01 November 2026, 08:30 UTC" in page
    assert page.count("<svg") == page.count("<section>") == 8


def test_from_the_warehouse_to_the_file(town, tmp_path):
    ran = CliRunner().invoke
    data = ["--data", str(tmp_path)]
    nothing = ran(program, ["report", *data, "--out", str(tmp_path / "r.html")])
    assert nothing.exit_code == 1
    assert "make them with `commonry etl run`" in nothing.stderr
    assert ran(program, ["report", "--month", "october", *data]).stderr.startswith("october is no month")
    town.run()
    marts, _ = everything(town.folder)
    assert {s.mart for s in SHAPES} <= marts.keys()
    home = town.settings.data
    done = ran(program, ["report", "--month", "2026-10", "--data", home, "--out", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.stderr
    assert "Sharing in October 2026" in (tmp_path / "r.html").read_text()
    again = ran(program, ["report", "--month", "2026-10", "--data", home, "--out", str(tmp_path / "r.html")])
    assert "is there already" in again.stderr
