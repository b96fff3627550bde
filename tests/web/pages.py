"""A browser without scripts: keeps cookies, reads pages, fills in forms as they stand there."""

from html.parser import HTMLParser
from typing import Any, NamedTuple

import aiohttp

VOID = {"input", "img", "br", "hr", "meta", "link", "path", "circle", "rect", "line", "option"}


class Form:
    """One form of a page: where it leads, and what it says as it stands."""

    def __init__(self, told: dict[str, str | None]) -> None:
        self.action, self.method = told.get("action") or "", (told.get("method") or "get").lower()
        self.kind = told.get("enctype") or ""
        self.fields: dict[str, str] = {}


class Page(HTMLParser):
    """Tags, links, forms and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._words: list[str] = []
        self._select: str | None = None
        self._area: str | None = None
        self._unseen = 0
        self.feed(text)

    @property
    def words(self) -> str:
        """All that is written on it, blanks made one."""
        return " ".join(" ".join(self._words).split())

    def form(self, action: str) -> Form:
        """The form that leads there."""
        found = [f for f in self.forms if f.action.split("#")[0] == action]
        assert found, f"no form leads to {action}: {[f.action for f in self.forms]}"
        return found[0]

    def mistakes(self) -> dict[str, str]:
        """Fields marked as wrong, by name."""
        ids = {t["id"]: t["name"] for _, t in self.tags if t.get("aria-invalid") == "true" and t.get("name")}
        return {name: "" for name in ids.values() if name}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append((tag, told))
        self.links += [link for name in ("href", "src", "action") if (link := told.get(name))]
        if tag == "form":
            self.forms.append(Form(told))
        if tag in ("script", "style", "svg", "head"):
            self._unseen += tag not in VOID
        if self.forms and tag in ("input", "select", "textarea", "option"):
            self._noted(tag, told)

    def _noted(self, tag: str, told: dict[str, str | None]) -> None:
        fields, name = self.forms[-1].fields, told.get("name")
        if tag == "input" and name:
            if told.get("type") in ("radio", "checkbox"):
                if "checked" in told:
                    fields[name] = told.get("value") or "on"
            elif told.get("type") not in ("file", "submit"):
                fields[name] = told.get("value") or ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in told or self._select not in fields:
                fields[self._select] = told.get("value") or ""
        elif tag == "textarea" and name:
            self._area, fields[name] = name, ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = None
        if tag == "textarea":
            self._area = None
        if tag in ("script", "style", "svg", "head"):
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area] += data
        if not self._unseen:
            self._words.append(data)


class Seen(NamedTuple):
    """An answer: its status, its page, its headers, and the address it came from in the end."""

    status: int
    page: Page
    headers: Any
    address: str

    @property
    def words(self) -> str:
        return self.page.words


class Browser:
    """One person's browser, JavaScript off."""

    def __init__(self, url: str, **headers: str) -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # for a host that is an address
        self.url = url
        self._session = aiohttp.ClientSession(cookie_jar=jar, headers=headers)

    async def close(self) -> None:
        await self._session.close()

    async def opens(self, path: str, *, follow: bool = True, **headers: str) -> Seen:
        """GET, as a click on a link."""
        async with self._session.get(self.url + path, allow_redirects=follow, headers=headers) as got:
            return await self._seen(got)

    async def sends(self, form: Form, *, follow: bool = True, files: Any = (), **fields: Any) -> Seen:
        """Send a form with these fields changed; None leaves a field out."""
        said = {k: v for k, v in {**form.fields, **fields}.items() if v is not None}
        if form.method == "get":
            async with self._session.get(self.url + form.action, params=said, allow_redirects=follow) as got:
                return await self._seen(got)
        data: Any = aiohttp.FormData(list(said.items()))
        for name, filename, content, kind in files:
            data.add_field(name, content, filename=filename, content_type=kind)
        async with self._session.post(self.url + form.action, data=data, allow_redirects=follow) as got:
            return await self._seen(got)

    async def posts(self, path: str, fields: dict[str, str], **headers: str) -> Seen:
        """POST without having seen a form."""
        async with self._session.post(self.url + path, data=fields, headers=headers, allow_redirects=False) as got:
            return await self._seen(got)

    async def signs_in(self, email: str, password: str) -> None:
        """Through the form."""
        form = (await self.opens("/login")).page.form("/login")
        seen = await self.sends(form, email=email, password=password)
        assert seen.status == 200, seen.words

    def cookies(self) -> dict[str, Any]:
        """What the browser keeps, by name."""
        return {cookie.key: cookie for cookie in self._session.cookie_jar}

    @staticmethod
    async def _seen(got: aiohttp.ClientResponse) -> Seen:
        address = str(got.url.relative()) if got.url.is_absolute() else str(got.url)
        return Seen(got.status, Page(await got.text(errors="replace")), got.headers, address)
