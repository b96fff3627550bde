"""What holds for every page: the policy, sessions, forms that are ours, and words instead of error codes."""

import pytest

from commonry.web.visit import inside
from tests.platform import started
from tests.web.pages import Browser

PAGES = ["/", "/?q=nothing-like-it&view=map", "/login", "/register", "/nothing-here"]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_nothing_that_is_not_ours(browse, path):
    browser = browse()
    seen = await browser.opens(path)
    policy = seen.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    for tag, told in seen.page.tags:
        assert "style" not in told, (tag, told)
        assert not [name for name in told if name.startswith("on")], (tag, told)
        assert tag != "style"
        assert tag != "script" or told.get("src"), (tag, told)
    links = [link.removeprefix(browser.url) for link in seen.page.links]
    assert [link for link in links if "//" in link or not link.startswith(("/", "#"))] == []


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_names_is_there(browse, path):
    browser = browse()
    seen = await browser.opens(path)
    for link in {x for x in seen.page.links if x.startswith("/static/")}:
        got = await browser.opens(link)
        assert got.status == 200, link
        assert "immutable" in got.headers["cache-control"]


async def test_a_file_of_an_older_page_is_not_kept_for_good(browse):
    seen = await browse().opens("/static/000000000000/site.css")
    assert seen.status == 200
    assert "immutable" not in seen.headers["cache-control"]
    assert (await browse().opens("/static/000000000000/..%2fpaper.py")).status == 404
    assert (await browse().opens("/static/000000000000/nothing.css")).status == 404


async def test_what_is_not_there_is_said_in_words(browse):
    seen = await browse().opens("/nothing-here")
    assert seen.status == 404
    assert "There is nothing here" in seen.words
    seen = await browse().opens("/items/00000000-0000-7000-8000-000000000000")
    assert seen.status == 404


async def test_somebody_joins_signs_out_and_in_again(browse):
    browser = browse()
    form = (await browser.opens("/register?next=/%3Fq%3Dtent")).page.form("/register")
    seen = await browser.sends(form, email="nora@example.org", display_name="Nora", password="ten-letters-or-more")
    assert (seen.status, seen.address) == (200, "/?q=tent")
    session = browser.cookies()["commonry"]
    assert session["httponly"]
    assert session["samesite"].lower() == "lax"
    assert not session["secure"]
    seen = await browser.sends(seen.page.form("/logout"))
    assert "You are signed out." in seen.words
    assert "commonry" not in browser.cookies()
    form = (await browser.opens("/login")).page.form("/login")
    seen = await browser.sends(form, email="nora@example.org", password="not-hers-at-all")
    assert seen.status == 422
    assert "do not belong together" in seen.words
    assert seen.page.form("/login").fields["email"] == "nora@example.org"
    assert "not-hers-at-all" not in seen.page.text
    seen = await browser.sends(seen.page.form("/login"), password="ten-letters-or-more")
    assert seen.status == 200
    assert seen.page.form("/logout")


async def test_a_session_that_ended_elsewhere_has_ended_here(people, signed_in):
    ada = await people("ada")
    browser = await signed_in(ada)
    assert (await browser.opens("/")).page.form("/logout")
    token = browser.cookies()["commonry"].value
    await ada.call("POST", "/auth/logout", headers={"authorization": f"Bearer {token}"})
    assert "Sign in" in (await browser.opens("/")).words


async def test_every_mistake_of_a_form_stands_beside_its_field(browse):
    browser = browse()
    form = (await browser.opens("/register")).page.form("/register")
    seen = await browser.sends(form, email="nobody", display_name=" ", password="short")
    assert seen.status == 422
    assert {"display_name", "password"} <= seen.page.mistakes().keys()
    seen = await browser.sends(form, email="nobody", display_name="Nobody", password="long-enough-it-is")
    assert seen.status == 422
    assert "email" in seen.page.mistakes()
    assert seen.page.form("/register").fields["email"] == "nobody"


async def test_under_https_the_session_is_bound_to_this_host(browse, people):
    ada = await people("ada")
    browser = browse(**{"x-forwarded-proto": "https"})
    seen = await browser.opens("/login")
    cookies = seen.headers.getall("set-cookie")
    assert any(c.startswith("__Host-commonry-form=") and "Secure" in c and "HttpOnly" in c for c in cookies), cookies
    assert "ada" in ada.email


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"csrf": ""},
        {"csrf": "0" * 32},
    ],
)
async def test_a_form_that_is_not_ours_is_refused(browse, people, told):
    ada = await people("ada")
    browser = browse()
    await browser.opens("/login")  # has the cookie now
    seen = await browser.posts("/login", {"email": ada.email, "password": ada.password} | told)
    assert seen.status == 403
    assert "commonry" not in browser.cookies()


async def test_a_form_from_another_browser_or_another_site_is_refused(browse, people, signed_in):
    ada = await people("ada")
    other, mine = browse(), await signed_in(ada)
    stolen = (await other.opens("/login")).page.form("/login").fields["csrf"]
    assert (await mine.posts("/logout", {"csrf": stolen})).status == 403
    own = (await mine.opens("/")).page.form("/logout").fields["csrf"]
    assert (await mine.posts("/logout", {"csrf": own}, origin="https://evil.example")).status == 403
    assert (await mine.posts("/logout", {"csrf": own}, origin=mine.url)).status == 303


@pytest.mark.parametrize(
    "where",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/x\\y", "/a\r\nb", ""],
)
async def test_nobody_is_led_to_another_site(browse, people, where):
    assert inside(where) == "/"
    ada = await people("ada")
    browser = browse()
    form = (await browser.opens("/login")).page.form("/login")
    seen = await browser.sends(form, follow=False, email=ada.email, password=ada.password, next=where)
    assert (seen.status, seen.headers["location"]) == (303, "/")


def test_addresses_of_ours_are_followed():
    assert inside("/items/7?from=2026-12-05#borrow") == "/items/7?from=2026-12-05#borrow"


async def test_the_style_guide_is_for_who_works_on_it(browse, tmp_path):
    assert (await browse().opens("/styleguide")).status == 404
    with started("near", tmp_path, COMMONRY_LOG_LEVEL="debug") as debugging:
        there = Browser(debugging.url)
        seen = await there.opens("/styleguide")
        await there.close()
    assert seen.status == 200
    assert {"Colours", "Buttons", "Fields", "Icons"} <= set(seen.words.split())
    assert seen.page.mistakes().keys() == {"bad"}
