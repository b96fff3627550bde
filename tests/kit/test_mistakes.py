"""All mistakes of a body are found, each at its place, in words a person understands."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from commonry.kit import mistakes


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    amount: Annotated[int, Meta(ge=0)]
    code: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="three capital letters")]


class Outer(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: Annotated[str, Meta(min_length=2)]
    inner: Inner | None = None
    many: list[Inner] = []


def places(body: bytes) -> list[str]:
    return [m.at for m in mistakes.in_body(body, Outer)]


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert places(b'{"from": "ab", "inner": {"amount": 1, "code": "EUR"}}') == []


def test_every_mistake_is_told_at_its_place() -> None:
    body = b'{"frm": 1, "inner": {"amount": -1, "code": "eur", "x": 2}, "many": [{"amount": 1}]}'
    assert places(body) == ["from", "inner.amount", "inner.code", "inner.x", "many[0]", "frm"]


def test_a_pattern_is_told_in_words() -> None:
    (wrong,) = mistakes.in_body(b'{"from": "ab", "inner": {"amount": 1, "code": "e"}}', Outer)
    assert wrong.message == "must be three capital letters"


@pytest.mark.parametrize("body", [b"", b" ", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_object_is_one_mistake_at_the_body(body: bytes) -> None:
    assert places(body) == ["body"]


def test_nul_is_found_wherever_it_hides() -> None:
    found = mistakes.with_nul({"a": ["x", {"b": "y\0"}]})
    assert [m.at for m in found] == ["a.1.b"]
