"""What may be kept, for whom and for how long, case by case. The law is RFC 9111."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonry.gateway.asked import asked, directives
from commonry.gateway.caching import rules
from commonry.gateway.caching.rules import Life
from commonry.kit.tags import kept


def fields(*lines):
    """`"Name: value"` → pairs as servers have them."""
    return [(n.strip().lower().encode(), v.strip().encode("latin-1")) for n, _, v in (x.partition(":") for x in lines)]


def life(*lines, status=200):
    return rules.life(status, fields(*lines))


def control(value, *more):
    return life(f"cache-control: {value}", *more)


FRESH = Life(60, 60, 60, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=60", FRESH),
        ("Max-Age=60", FRESH),
        ("max-age = 60", FRESH),
        ('max-age="60"', FRESH),
        (" , max-age=60 ,, ", FRESH),
        ("max-age=60 , must-understand", FRESH),
        ("s-maxage=60", FRESH),
        ("s-maxage=60, max-age=10", FRESH),
        ("max-age=10, s-maxage=60", FRESH),
        ("public, max-age=60", Life(60, 60, 60, True)),
        ("max-age=60, immutable, x-other=5", FRESH),
        ("max-age=60, stale-while-revalidate=30", Life(60, 90, 90, False)),
        ("max-age=60, stale-if-error=600", Life(60, 60, 660, False)),
        ("max-age=60, stale-while-revalidate=30, stale-if-error=10", Life(60, 90, 90, False)),
        ("max-age=60, stale-while-revalidate=30, must-revalidate", FRESH),
        ("max-age=60, stale-if-error=30, proxy-revalidate", FRESH),
        ("max-age=60, stale-while-revalidate=soon", FRESH),
    ],
)
def test_what_may_be_kept(value, expected):
    assert control(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "public",
        "no-store",
        "no-cache",
        "private",
        "no-store, max-age=60",
        "max-age=60, private",
        "max-age=60, PRIVATE",
        "max-age=60 , private ",
        'max-age=60, private="set-cookie"',
        'max-age=60, private="set-cookie, x-other"',
        'max-age=60, no-cache="x"',
        "max-age=60,no-store",
        "max-age=0",
        "max-age=-1",
        "max-age=60.5",
        "max-age=soon",
        "max-age=",
        "max-age",
        "max-age=²",
        "s-maxage=0, max-age=60",
        "s-maxage=0 , max-age=60",
        "s-maxage=soon, max-age=60",
        "stale-while-revalidate=60",
        "max-age=60; private",
        "private; max-age=60",
        "must-revalidate",
        "max-age=" + "9" * 5000,
    ],
)
def test_what_may_not_be_kept(value):
    assert control(value) is None


def test_what_says_nothing_is_not_kept():
    assert life() is None
    assert life("expires: Thu, 01 Jan 2099 00:00:00 GMT") is None
    assert life("last-modified: Thu, 01 Jan 2015 00:00:00 GMT") is None


@pytest.mark.parametrize("status", [200, 203, 301, 308, 404, 410])
def test_answers_that_are_kept(status):
    assert life("cache-control: max-age=60", status=status) == FRESH


@pytest.mark.parametrize(
    "status", [201, 204, 206, 302, 303, 304, 307, 400, 401, 403, 405, 409, 429, 500, 502, 503, 504]
)
def test_answers_that_are_not(status):
    assert life("cache-control: public, max-age=60", status=status) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("cache-control: private", "cache-control: max-age=60"),
        ("cache-control: max-age=60", "cache-control: private"),
        ("cache-control: no-store", "cache-control: public", "cache-control: max-age=60"),
        ("cache-control: max-age=60", "vary: *"),
        ("cache-control: max-age=60", "vary: accept, *"),
        ("cache-control: max-age=60", "vary: *", "vary: accept"),
        ("cache-control: max-age=60", "vary: accept", "vary: *"),
        ("cache-control: max-age=60", "set-cookie: a=1"),
        ("cache-control: max-age=60", "set-cookie: "),
        ("cache-control: max-age=60", "age: 60"),
        ("cache-control: max-age=60", "age: 1000000"),
    ],
)
def test_every_line_of_a_field_counts(lines):
    assert life(*lines) is None


@pytest.mark.parametrize(
    "lines",
    [
        ("cache-control: max-age=60", "cache-control: must-understand"),
        ("cache-control: must-understand", "cache-control: max-age=60"),
        ("cache-control: max-age=60", "vary: accept", "vary: accept-language"),
    ],
)
def test_lines_of_a_field_add_up(lines):
    assert life(*lines) == FRESH


@pytest.mark.parametrize(
    ("age", "left"), [("0", 60), ("", 60), ("10", 50), ("59", 1), ("soon", 60), ("-5", 60), ("1.5", 60)]
)
def test_what_is_old_already_is_kept_less_long(age, left):
    found = control("max-age=60", f"age: {age}")
    assert found == Life(left, left, left, False)


@pytest.mark.parametrize(
    ("targeted", "general", "expected"),
    [
        ("max-age=60", "no-store", FRESH),
        ("max-age=60", "max-age=5", FRESH),
        ("max-age=60", "private", FRESH),
        ("no-store", "public, max-age=60", None),
        ("max-age=0", "public, max-age=60", None),
        ("private", "public, max-age=60", None),
        ("", "max-age=60", FRESH),
    ],
)
def test_what_is_said_to_us_alone_wins(targeted, general, expected):
    assert life(f"commonry-cache-control: {targeted}", f"cache-control: {general}") == expected


def test_what_our_services_say_is_understood():
    said = kept("item:1", "owner:2", seconds=10, revalidate=10, on_error=86400)
    lines = [(n.encode(), v.encode()) for n, v in said.items()]
    assert rules.life(200, lines) == Life(10, 20, 86410, False)
    assert rules.tags(lines) == {"item:1", "owner:2"}
    assert rules.varies(lines) == {b"authorization"}
    for_all = [(n.encode(), v.encode()) for n, v in kept("x", seconds=300, everyone=True).items()]
    assert rules.life(200, for_all) == Life(300, 300, 300, True)
    assert rules.varies(for_all) == set()


def test_the_headers_an_answer_depends_on():
    assert rules.varies(fields("vary: Accept, accept-language", "vary:Authorization")) == {
        b"accept",
        b"accept-language",
        b"authorization",
    }
    assert rules.varies(fields("x-vary: accept")) == frozenset()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("accept: a",), ("accept: a",), True),
        (("accept: a",), ("accept: b",), False),
        (("accept: a",), (), False),
        (("accept: a", "accept: b"), ("accept: a, b",), False),
        (("accept: a", "accept: b"), ("accept: a,b",), True),
        (("x: 1",), ("x: 2",), True),
        ((), (), True),
    ],
)
def test_two_requests_ask_for_the_same_if_those_headers_are(one, other, same):
    names = frozenset({b"accept", b"accept-language"})
    assert (rules.values(names, fields(*one)) == rules.values(names, fields(*other))) is same


def test_values_of_different_headers_are_not_mixed_up():
    names = frozenset({b"a", b"b"})
    assert rules.values(names, fields("a: x")) != rules.values(names, fields("b: x"))


@pytest.mark.parametrize(
    ("known", "etag", "expected"),
    [
        ('"1"', '"1"', True),
        ('"1"', '"2"', False),
        ('W/"1"', '"1"', True),
        ('"1"', 'W/"1"', True),
        ('W/"1"', 'W/"1"', True),
        ('"0", "1" ,"2"', '"1"', True),
        ('"0",W/"1"', '"1"', True),
        ("*", '"1"', True),
        (" * ", '"1"', True),
        ("", '"1"', False),
        ("1", '"1"', False),
        ('"11"', '"1"', False),
        ('"1', '"1"', False),
    ],
)
def test_whether_the_client_has_it_already(known, etag, expected):
    assert rules.is_known(known.encode(), etag.encode()) is expected


ASKED = {
    "": {},
    "authorization: Bearer x": {"is_personal": True},
    "cache-control: no-cache": {"insists": True},
    "cache-control: max-age=0": {"insists": True},
    "cache-control: max-age=5": {},
    "cache-control: no-store": {"must_not_keep": True},
    "cache-control: only-if-cached, max-stale=3": {"only_cached": True},
    "Cache-Control: No-Cache": {"insists": True},
    "pragma: no-cache": {"insists": True},
    "range: bytes=0-1": {"is_partial": True},
    'if-none-match: "1"': {"known": b'"1"'},
    "cookie: a=1": {},
}


@pytest.mark.parametrize("line", ASKED)
def test_what_a_request_says(line):
    nothing = asked([])._asdict()
    assert not any(nothing.values())
    assert asked(fields(line) if line else [])._asdict() == nothing | ASKED[line]


def test_pragma_is_only_for_those_who_say_nothing_else():
    assert not asked(fields("pragma: no-cache", "cache-control: max-age=5")).insists


def test_every_line_of_a_request_counts():
    both = asked(fields("cache-control: no-store", "cache-control: no-cache"))
    assert (both.must_not_keep, both.insists) == (True, True)
    assert asked(fields('if-none-match: "1"', 'if-none-match: "2"')).known == b'"1","2"'


@given(st.binary(max_size=60))
def test_no_bytes_break_it(value):
    directives(value)
    asked([(b"cache-control", value), (b"if-none-match", value), (b"pragma", value)])
    for name in (b"cache-control", b"age", b"vary", b"commonry-cache-control"):
        rules.life(200, [(b"cache-control", b"max-age=60"), (name, value)])
    rules.is_known(value, b'"1"')


@given(st.lists(st.sampled_from(["max-age=60", "private", "no-store", "public", "x=1", 'y="a, b"', "no-cache"])))
def test_no_order_hides_a_ban(words):
    found = control(", ".join(words))
    assert (found is None) == ("max-age=60" not in words or bool({"private", "no-store", "no-cache"} & set(words)))
