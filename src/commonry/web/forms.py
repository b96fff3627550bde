"""What somebody filled in: texts by name, and every mistake beside its field.

A form that did not come from one of our own pages is refused before anything is read of it. What a service refuses
(422) comes back under the names that it knows (`price.amount`); `place` says which of ours those are.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from litestar.datastructures import UploadFile

from commonry.contracts.money import EXPONENTS
from commonry.kit.problems import NotAllowed, NotValid
from commonry.web.rules import dates
from commonry.web.visit import Visit

MOST = 10**12


class Form:
    """Fields as they came, and what is wrong with them: field → sentence. `""` is a mistake of no one field."""

    def __init__(self, said: Mapping[str, str], files: list[UploadFile], many: Mapping[str, list[str]]) -> None:
        self.said, self.files, self.many = dict(said), files, many
        self.mistakes: dict[str, str] = {}

    def text(self, name: str, *, needed: str = "") -> str:
        """A text without the blanks around it; `needed` is what is said when it is empty."""
        found = self.said.get(name, "").strip()
        if needed and not found:
            self.wrong(name, needed)
        return found

    def whole(self, name: str, otherwise: int | None = None) -> int | None:
        """A whole number."""
        found = self.text(name)
        if not found:
            return otherwise
        try:
            return int(found)
        except ValueError:
            self.wrong(name, "This must be a whole number.")
            return otherwise

    def number(self, name: str) -> float | None:
        """A number with a point."""
        found = self.text(name).replace(",", ".")
        try:
            return float(found) if found else None
        except ValueError:
            self.wrong(name, "This must be a number.")
            return None

    def amount(self, name: str, currency: str) -> int | None:
        """Minor units of what was written as `12.50`, or `12,50`; None when empty."""
        found = self.text(name).replace("\u00a0", "").replace(" ", "").replace(",", ".")
        if not found:
            return None
        digits = EXPONENTS[currency]
        try:
            units = Decimal(found).scaleb(digits)
            if units == units.to_integral_value() and 0 <= units <= MOST:
                return int(units)
        except (InvalidOperation, ValueError):
            pass
        self.wrong(name, f"Write an amount such as {'12.50' if digits == 2 else '1250'}.")
        return None

    def day(self, name: str) -> date | None:
        """A day as a date field sends it."""
        said = self.text(name)
        found = dates.day(said)
        if said and found is None:
            self.wrong(name, "Choose a day.")
        return found

    def id(self, name: str) -> UUID | None:
        """An id that one of our pages has put there; None for anything else."""
        try:
            return UUID(self.text(name))
        except ValueError:
            return None

    def hour(self, name: str, otherwise: time) -> time:
        """A time of day."""
        found = self.text(name)
        try:
            return time.fromisoformat(found) if found else otherwise
        except ValueError:
            self.wrong(name, "Choose a time.")
            return otherwise

    @property
    def key(self) -> str | None:
        """An Idempotency-Key that means the form as it is filled in: sent twice it is done once, changed it is new."""
        if not self.said.get("key"):
            return None
        told = sorted((name, texts) for name, texts in self.many.items() if name != "csrf")
        return hashlib.sha256(repr(told).encode()).hexdigest()[:40]

    def ticked(self, name: str) -> bool:
        """Whether a box is."""
        return name in self.said

    def wrong(self, name: str, sentence: str) -> None:
        """Note a mistake; the first one of a field stays."""
        self.mistakes.setdefault(name, sentence)

    def place(self, refused: NotValid, names: Mapping[str, str] | None = None) -> None:
        """A service's mistakes, beside our fields. `names`: theirs → ours, where they differ."""
        listed: list[dict[str, Any]] = refused.document().get("errors", [])
        if not listed:
            self.wrong("", refused.detail)
        for one in listed:
            theirs = str(one["at"]).removeprefix("body.")
            name = (names or {}).get(theirs, theirs)
            sentence = f"This {one['message']}." if name in self.said else f"{name}: {one['message']}."
            self.wrong(name if name in self.said else "", sentence)


async def filled_in(visit: Visit) -> Form:
    """The form that was sent. Raises `NotAllowed` when it is not one of ours."""
    sent = await visit.request.form()
    said: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    files: list[UploadFile] = []
    for name, value in sent.multi_items():
        if isinstance(value, UploadFile):
            if value.filename:
                files.append(value)
        else:
            text = str(value).replace("\r\n", "\n").replace("\0", "")
            said[name] = text
            many.setdefault(name, []).append(text)
    if not visit.is_own_form(said.get("csrf", "")):
        raise NotAllowed("This form is out of date. Go back, load the page again, and send it once more.")
    return Form(said, files, many)


async def multipart(form: Form) -> tuple[str, bytes]:
    """A form's files as the API takes them: content type and body. The names that files had stay here."""
    line = secrets.token_hex(16)
    body = bytearray()
    for number, file in enumerate(form.files):
        body += f'--{line}\r\nContent-Disposition: form-data; name="photo"; filename="{number}"\r\n\r\n'.encode()
        body += await file.read() + b"\r\n"
    body += f"--{line}--\r\n".encode()
    return f"multipart/form-data; boundary={line}", bytes(body)
