"""What the first screen and the addresses in the documentation promise."""

import re

import pytest

from commonry.demo.neighbourhood import sign_ins
from commonry.gateway import problems
from commonry.kit.problems import Problem
from tools.docs.filling import ROOT

README = (ROOT / "README.md").read_text("utf-8")
TUTORIAL = (ROOT / "docs/tutorial/first-ten-minutes.md").read_text("utf-8")
FIRST_SCREEN = 40


@pytest.mark.parametrize("target", ["up", "test"])
def test_the_two_commands_are_on_the_first_screen_and_exist(target: str) -> None:
    assert f"$ make {target}\n" in "\n".join(README.splitlines()[:FIRST_SCREEN])
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", [README, TUTORIAL], ids=["README", "tutorial"])
def test_the_sign_ins_are_those_of_the_demo(page: str) -> None:
    assert len(sign_ins()) == 3
    assert all(email in page and password in page for _, email, password in sign_ins())


@pytest.mark.parametrize("slug", sorted(Problem.known))
async def test_every_problem_has_its_page_at_the_gateway(slug: str) -> None:
    reply = await problems.page({"path": f"/problems/{slug}"})
    assert reply.status == 200
    words = (Problem.known[slug].__doc__ or "").split()
    assert words[0] in reply.body.decode()


async def test_what_is_no_problem_has_no_page() -> None:
    with pytest.raises(Problem):
        await problems.page({"path": "/problems/no-such-thing"})


def test_every_decision_is_in_the_list_and_has_its_parts() -> None:
    folder = ROOT / "docs/decisions"
    listed = (folder / "README.md").read_text("utf-8")
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert f"]({page.name})" in listed
        headings = re.findall(r"^## (\w+)", page.read_text("utf-8"), re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequences"], page.name
