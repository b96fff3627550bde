"""What a person can mend is said in one sentence on standard error, with exit code 1 and no traceback."""

import ast
import os
import socket
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

import commonry
from commonry.cli.program import commonry as program
from commonry.kit.postgres import EmbeddedPostgres
from tests.platform import free_port

PACKAGE = Path(commonry.__file__).parent


def said(*arguments, **env):
    """(exit code, standard output, standard error) of a command."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("COMMONRY_")}
    command = [sys.executable, "-m", "commonry", *arguments]
    done = subprocess.run(command, check=False, env=ours | env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def refusal(*arguments, **env):
    """The one sentence with which a command is refused."""
    code, _, told = said(*arguments, **env)
    assert code == 1, told
    assert "Traceback" not in told
    (line,) = told.strip().splitlines()
    assert line.endswith((".", "`."))
    return line


def test_help_is_at_once_because_nothing_heavy_is_loaded():
    heavy = {"litestar", "psycopg", "msgspec", "uvicorn", "aiohttp", "structlog", "jinja2", "sqlalchemy", "asyncio"}
    code = "import sys, commonry.cli.program; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not heavy & set(loaded)


@pytest.mark.parametrize("command", [[], *[[name] for name in program.commands]])
def test_every_command_explains_itself_with_an_example(command):
    code, told, _ = said(*command, "--help")
    assert code == 0
    assert "Example" in told
    assert f"commonry {' '.join(command)}".strip() in told


def test_the_version_is_told():
    assert said("--version")[1].startswith("commonry 0.")


@pytest.mark.parametrize("command", [["up", "--no-demo"], ["serve", "gateway"]])
def test_a_port_that_is_taken(tmp_path, command):
    peers = {f"COMMONRY_{name}_URL": "http://127.0.0.1:9" for name in ("USERS", "INVENTORY", "BOOKINGS", "PAYMENTS")}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refusal(*command, "--port", port, COMMONRY_DATA=str(tmp_path / "d"), COMMONRY_SERVICE_TOKEN="t", **peers)
    assert line == f"Port {port} is taken by another program: stop that, or choose another with --port."
    assert not (tmp_path / "d").exists()  # nothing was started before


def test_an_address_that_is_not_ours(tmp_path):
    line = refusal("up", "--host", "192.0.2.1", "--port", "0", "--data", str(tmp_path))
    assert line.startswith("192.0.2.1 is not an address of this machine")


def test_a_data_folder_in_use(tmp_path):
    server = EmbeddedPostgres(tmp_path)
    server.start()
    try:
        line = refusal("up", "--port", "0", "--data", str(tmp_path))
    finally:
        server.stop()
    assert line == f"{tmp_path} is in use by another Commonry (pid {os.getpid()})."


def test_a_data_folder_that_cannot_be_written(tmp_path):
    """As root only the kernel's own folders cannot be written."""
    closed = Path("/sys") if os.geteuid() == 0 else tmp_path
    closed.chmod(0o500) if closed == tmp_path else None
    line = refusal("up", "--port", "0", "--data", str(closed / "commonry"))
    assert "cannot be written" in line
    assert str(closed) in line


def test_a_data_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in refusal("up", "--port", "0", "--data", str(tmp_path / "file" / "below"))


def test_a_full_disk(tmp_path, monkeypatch):
    full = namedtuple("usage", "total used free")(10**9, 10**9, 5 * 2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda _: full)
    for needed in (200, 30):
        done = CliRunner().invoke(program, ["up", "--port", "0", "--data", str(tmp_path / "d")])
        assert done.exit_code == 1
        words = f"is nearly full: 5 MB are left and {needed} MB needed."
        assert done.stderr.strip() == f"The disk that holds {tmp_path / 'd'} {words}"
        (tmp_path / "d" / "service-token").write_text("kept from before")


def test_no_postgresql(tmp_path):
    line = refusal("up", "--port", "0", "--data", str(tmp_path), COMMONRY_POSTGRES_BIN=str(tmp_path))
    assert line.startswith("No working PostgreSQL 15 or newer in ")


def test_a_database_that_does_not_answer(tmp_path):
    url = f"postgresql://me:secret@127.0.0.1:{free_port()}/{{service}}"
    line = refusal("up", "--port", "0", "--data", str(tmp_path), COMMONRY_DATABASE_URL=url)
    assert line.startswith("The database refuses: ")
    assert "secret" not in line


def test_one_database_for_all_services(tmp_path):
    line = refusal("up", "--port", "0", "--data", str(tmp_path), COMMONRY_DATABASE_URL="postgresql://db/one")
    assert line.startswith("COMMONRY_DATABASE_URL needs {service}")


def test_wrong_settings_are_told_all_at_once(tmp_path):
    code, _, told = said("up", "--data", str(tmp_path), COMMONRY_PORT="many", COMMONRY_LOG_LEVEL="loud")
    assert code == 1
    assert "Traceback" not in told
    assert [line.split("=")[0] for line in told.splitlines()] == ["COMMONRY_PORT", "COMMONRY_LOG_LEVEL"]


def test_an_old_python_is_told_to_be_too_old():
    """By files that an old Python can read at all."""
    for file in ("__init__.py", "__main__.py", "cli/__init__.py"):
        ast.parse((PACKAGE / file).read_text(), feature_version=(3, 7))
    code = "import sys; sys.version_info = (3, 9, 2, 'final', 0); import commonry.cli"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "Commonry needs Python 3.11 or newer, and this is 3.9: install a newer one.\n"


def test_serving_names_every_variable_that_is_missing():
    line = refusal("serve", "bookings", COMMONRY_USERS_URL="http://127.0.0.1:9")
    for name in ("INVENTORY_URL", "PAYMENTS_URL", "SERVICE_TOKEN", "DATABASE_URL"):
        assert f"COMMONRY_{name}" in line
    assert "COMMONRY_USERS_URL" not in line
    assert "COMMONRY_BOOKINGS_URL" not in line


def test_the_gateway_needs_no_database_but_every_service():
    line = refusal("serve", "gateway", COMMONRY_SERVICE_TOKEN="t")
    assert "COMMONRY_BOOKINGS_URL" in line
    assert "DATABASE" not in line


def test_migrating_without_a_database():
    assert "COMMONRY_DATABASE_URL" in refusal("migrate")
    assert "{service}" in refusal("migrate", COMMONRY_DATABASE_URL="postgresql://db/one")


def test_promoting_where_nothing_is(tmp_path):
    assert "There is no Commonry in" in refusal("promote", "ada@example.org", "--data", str(tmp_path / "none"))


@pytest.mark.parametrize("command", [["export", "--token", "t"], ["demo"]])
def test_a_platform_that_is_away(command):
    url = f"http://127.0.0.1:{free_port()}"
    assert refusal(*command, "--url", url) == f"Commonry at {url} is away."


def test_importing_as_nobody(tmp_path):
    (tmp_path / "things.csv").write_text("title\n")
    assert refusal("import", str(tmp_path / "things.csv")).startswith("Say who you are")


def test_the_doctor_of_nothing_says_what_to_do(tmp_path):
    code, told, _ = said("doctor", "--data", str(tmp_path), "--url", f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "commonry up" in told
    assert "ok     PostgreSQL" in told
    assert "WRONG  address" in told


def test_a_database_of_ones_own_is_neither_backed_up_nor_restored_into(tmp_path):
    elsewhere = {"COMMONRY_DATABASE_URL": "postgresql://127.0.0.1:1/{service}"}
    line = refusal("backup", str(tmp_path / "b.zip"), **elsewhere)
    assert "back it up with that server's tools" in line
    (tmp_path / "b.zip").write_bytes(b"x")
    line = refusal("restore", str(tmp_path / "b.zip"), **elsewhere)
    assert "a backup is restored into a folder: name it with --data." in line


def test_a_folder_that_is_named_wins_over_the_environments_database(tmp_path):
    elsewhere = {"COMMONRY_DATABASE_URL": "postgresql://127.0.0.1:1/{service}"}
    line = refusal("backup", str(tmp_path / "b.zip"), "--data", str(tmp_path), **elsewhere)
    assert line == f"There is no Commonry in {tmp_path}: name its folder with --data."


def test_a_backups_name_is_a_folder_that_is_there_or_ends_in_zip(tmp_path):
    line = refusal("backup", f"{tmp_path}/new-folder/")
    assert line == f"There is no folder {tmp_path}/new-folder: make it first, or choose a name that ends in .zip."


def test_an_export_is_called_by_its_name_when_somebody_restores_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as export:
        export.writestr("datapackage.json", "{}")
    line = refusal("restore", str(tmp_path / "e.zip"), "--data", str(tmp_path / "new"))
    assert line == f"{tmp_path}/e.zip is an export, not a backup: `commonry import` takes the items.csv in it."


def test_a_database_that_is_away_is_said_in_one_sentence_at_once():
    line = refusal("promote", "ada@example.org", COMMONRY_DATABASE_URL="postgresql://127.0.0.1:1/{service}")
    assert line.startswith("The database refuses: ")
    assert "127.0.0.1" in line


def test_the_doctor_of_a_machine_without_databases_looks_at_the_platform_alone(tmp_path):
    code, told, _ = said("doctor", "--data", str(tmp_path / "none"), "--url", "http://127.0.0.1:1")
    assert code == 1
    assert "ok     PostgreSQL         none here: `commonry up` makes one; COMMONRY_DATABASE_URL names another" in told
    assert [line for line in told.splitlines() if line.startswith("WRONG")] == [
        "WRONG  address            no Commonry answers at http://127.0.0.1:1: start it, or name its address with --url"
    ]


def test_an_option_that_is_none_ends_with_code_2():
    assert said("up", "--no-such-option")[0] == 2
