"""The demo neighbourhood is complete, consistent and believable.

The loader sends this file through the public API, so every reference must exist and every
term must be one that the API accepts. Each test lists all the entries that break its claim."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

FILE = Path(__file__).parents[2] / "src/commonry/demo/neighbourhood.json"
TEXT = FILE.read_text(encoding="utf-8")
HERE: dict[str, Any] = json.loads(TEXT)
MEMBERS, ITEMS, CATEGORIES = HERE["members"], HERE["items"], HERE["categories"]
CORNERS = HERE["place"]["corners"]
TOP = {c["slug"]: c["parent"] or c["slug"] for c in CATEGORIES}
WORDS = {"key", "owner", "title", "description", "category", "corner", "picture"}
COUNTS = {"quantity", "min_hours", "max_hours", "horizon_days"}
WAITS = {"buffer_minutes", "notice_hours"}
CHOICES = {
    "condition": {"new", "good", "worn"},
    "booking_mode": {"instant", "request"},
    "handover": {"in_person", "self_service"},
    "cancellation": {"flexible", "moderate", "strict"},
}


def repeated(values):
    return [value for value, times in Counter(values).items() if times > 1]


def a_whole_number(value, least=1):
    return type(value) is int and value >= least


def km(a, b):
    """Flat-earth distance, good enough within one district."""
    east = (a["lon"] - b["lon"]) * 111.32 * math.cos(math.radians(a["lat"]))
    return math.hypot((a["lat"] - b["lat"]) * 110.57, east)


def answers(item, search):
    words = f"{item['title']} {item['description']}".lower()
    return all(word in words for word in search.lower().split())


def test_the_file_is_written_the_way_an_editor_would():
    rewritten = json.dumps(HERE, indent=2, ensure_ascii=False) + "\n"
    assert rewritten == TEXT
    assert list(HERE) == ["place", "categories", "members", "items", "reviews", "messages", "talks", "searches"]


@pytest.mark.parametrize(
    ("what", "least", "most"),
    [("members", 25, 25), ("items", 115, 130), ("messages", 28, 35), ("searches", 22, 30)],
)
def test_there_is_enough_of_everything(what, least, most):
    assert least <= len(HERE[what]) <= most


def test_corners_lie_within_walking_or_cycling_distance():
    assert ZoneInfo(HERE["place"]["time_zone"])
    assert HERE["place"]["currency"] == "EUR"
    assert 12 <= len(CORNERS) <= 16
    assert not repeated(c["label"] for c in CORNERS)
    assert [c for c in CORNERS if km(c, HERE["place"]) > 3] == []


def test_twelve_categories_stand_at_the_top_and_parents_come_first():
    seen: set[str | None] = {None}
    for category in CATEGORIES:
        assert category["parent"] in seen, category
        seen.add(category["slug"])
    assert sum(c["parent"] is None for c in CATEGORIES) == 12
    assert not repeated(c["slug"] for c in CATEGORIES)
    assert not repeated(c["name"] for c in CATEGORIES)


def test_every_category_has_its_fair_share_of_items():
    share = Counter(TOP[item["category"]] for item in ITEMS)
    assert set(share) == set(TOP.values())
    assert [c for c in share.items() if not 7 <= c[1] <= 22] == []
    assert {item["category"] for item in ITEMS} >= set(TOP) - set(TOP.values())


@pytest.mark.parametrize("field", ["key", "email", "display_name", "about"])
def test_no_two_members_share(field):
    assert repeated(m[field].casefold() for m in MEMBERS) == []


@pytest.mark.parametrize("field", ["key", "title", "description"])
def test_no_two_items_share(field):
    assert repeated(i[field].casefold() for i in ITEMS) == []


def test_members_are_reachable_only_at_example_addresses():
    assert [m for m in MEMBERS if not m["email"].endswith("@example.org") or m["email"] != m["email"].lower()] == []
    assert [m for m in MEMBERS if not 20 <= len(m["about"]) <= 300] == []
    assert {m["corner"] for m in MEMBERS} <= {c["label"] for c in CORNERS}


def test_three_sign_ins_carry_a_readable_password_and_nobody_else_does():
    signs_in = {m["demo"]: m for m in MEMBERS if "demo" in m}
    assert sorted(signs_in) == ["manager", "neighbour", "owner"]
    assert [m for m in MEMBERS if ("password" in m) != ("demo" in m)] == []
    assert all(len(m["password"]) >= 12 for m in signs_in.values())
    assert sum(i["owner"] == signs_in["owner"]["key"] for i in ITEMS) >= 8


def test_one_member_is_suspended_and_lends_nothing():
    (suspended,) = [m for m in MEMBERS if m.get("suspended")]
    assert "demo" not in suspended
    assert [i for i in ITEMS if i["owner"] == suspended["key"]] == []


def test_what_items_refer_to_exists():
    assert [i for i in ITEMS if set(i) != WORDS | COUNTS | WAITS | set(CHOICES) | {"price", "deposit"}] == []
    assert {i["owner"] for i in ITEMS} <= {m["key"] for m in MEMBERS}
    assert {i["category"] for i in ITEMS} <= set(TOP)
    assert {i["corner"] for i in ITEMS} <= {c["label"] for c in CORNERS}
    assert [i for i in ITEMS if not i["picture"].replace("-", "").isalnum()] == []


@pytest.mark.parametrize("field", CHOICES)
def test_items_use_every_choice_and_no_other(field):
    assert {i[field] for i in ITEMS} == CHOICES[field]


def test_item_words_fit_the_page():
    assert [i["title"] for i in ITEMS if not 3 <= len(i["title"]) <= 80] == []
    assert [i["description"] for i in ITEMS if not 20 <= len(i["description"]) <= 600] == []
    assert [i["description"] for i in ITEMS if i["description"][-1] not in ".!?"] == []
    assert [i["title"] for i in ITEMS if i["title"][-1] in ".!?" or i["title"] != i["title"].strip()] == []


def test_prices_and_deposits_are_positive_minor_units():
    priced = [i for i in ITEMS if i["price"] is not None]
    assert [i for i in priced if set(i["price"]) != {"amount", "per"} or not a_whole_number(i["price"]["amount"])] == []
    assert {i["price"]["per"] for i in priced} == {"hour", "day", "week"}
    assert [i for i in ITEMS if not (i["deposit"] is None or a_whole_number(i["deposit"]))] == []
    assert [i for i in priced if i["deposit"] is not None and i["deposit"] < i["price"]["amount"]] == []


def test_nearly_half_of_the_items_are_free():
    assert 0.40 <= sum(i["price"] is None for i in ITEMS) / len(ITEMS) <= 0.50


def test_limits_can_be_met():
    assert [i for i in ITEMS if not all(a_whole_number(i[count]) for count in COUNTS)] == []
    assert [i for i in ITEMS if not all(a_whole_number(i[wait], least=0) for wait in WAITS)] == []
    assert [i for i in ITEMS if i["min_hours"] > i["max_hours"]] == []
    assert [i for i in ITEMS if i["notice_hours"] + i["min_hours"] > i["horizon_days"] * 24] == []


def test_an_item_is_lent_for_at_least_what_it_is_priced_by():
    whole = {"hour": 1, "day": 24, "week": 168}
    assert [i["key"] for i in ITEMS if i["price"] and i["min_hours"] < whole[i["price"]["per"]]] == []


def test_some_items_have_several_units_but_most_have_one():
    several = [i["quantity"] for i in ITEMS if i["quantity"] > 1]
    assert 10 <= len(several) < len(ITEMS) / 2
    assert max(several) >= 20


@pytest.mark.parametrize(("of", "least"), [("of_item", 38), ("of_borrower", 24)])
def test_reviews_are_mostly_kind_and_sometimes_not(of, least):
    reviews = HERE["reviews"][of]
    ratings = Counter(r["rating"] for r in reviews)
    assert len(reviews) >= least
    assert not repeated(r["text"] for r in reviews)
    assert set(ratings) == {1, 2, 3, 4, 5}
    assert ratings[5] + ratings[4] > 4 * (ratings[1] + ratings[2] + ratings[3])
    assert [r for r in reviews if not 20 <= len(r["text"]) <= 300] == []


def test_messages_are_short_and_all_different():
    assert repeated(HERE["messages"]) == []
    assert [m for m in HERE["messages"] if not 20 <= len(m) <= 200] == []


def test_most_searches_find_something_and_some_show_unmet_demand():
    assert repeated(s.casefold() for s in HERE["searches"]) == []
    unmet = [s for s in HERE["searches"] if not any(answers(i, s) for i in ITEMS)]
    assert 5 <= len(unmet) < len(HERE["searches"]) / 2
