"""When the demo is loaded: on an empty platform, and again where a load was cut off."""

import signal
import time

import pytest

from commonry.cli.neighbourhood import DONE, is_to_be_loaded, sign_ins
from commonry.cli.storage import Kept
from commonry.contracts.settings import Settings
from tests.platform import near


@pytest.fixture
def kept(tmp_path):
    return Kept(Settings(data=str(tmp_path)), is_new=True)


def test_an_empty_platform_gets_it_when_wanted(kept):
    assert is_to_be_loaded(kept, wanted=True)


def test_an_empty_platform_stays_empty_when_not_wanted(kept):
    assert not is_to_be_loaded(kept, wanted=False)
    assert sign_ins(kept) == []


def test_a_platform_in_use_never_gets_it(kept):
    assert not is_to_be_loaded(kept._replace(is_new=False), wanted=True)


def test_a_load_that_was_cut_off_is_taken_up(kept):
    is_to_be_loaded(kept, wanted=True)
    assert is_to_be_loaded(kept._replace(is_new=False), wanted=True)


def test_a_load_that_is_done_is_done(kept, tmp_path):
    (tmp_path / "demo").write_text(DONE)
    assert not is_to_be_loaded(kept._replace(is_new=False), wanted=True)


def test_three_sign_ins_are_told(kept, tmp_path):
    (tmp_path / "demo").write_text(DONE)
    told = "\n".join(sign_ins(kept))
    assert told.count("@") == 3
    assert all(role in told for role in ("neighbour", "owner", "manager"))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_while_loading_it_is_whole_after_the_next_start(tmp_path):
    import psycopg

    platform = near(tmp_path, {})
    process = platform.processes["platform"]
    process.command.remove("--no-demo")
    process.start()
    _until(platform, "a year of loans")
    time.sleep(5)
    process.kill(signal.SIGKILL)
    process.output.write_text("")
    process.start()
    try:
        _until(platform, "is ready")
        with psycopg.connect(platform.database("users"), autocommit=True) as connection:
            members = connection.execute("SELECT count(*) FROM members").fetchone()
        assert members == (25,)
        assert "neighbour" in platform.output()
    finally:
        process.kill(signal.SIGTERM)


def _until(platform, words):
    deadline = time.monotonic() + 280
    while words not in platform.output():
        assert time.monotonic() < deadline, platform.output()
        assert platform.processes["platform"].running.poll() is None, platform.output()
        time.sleep(0.1)
