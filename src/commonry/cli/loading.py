"""Things in, and the demo's journey: through the public API of a running platform."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commonry.cli.trouble import Trouble, plainly

if TYPE_CHECKING:
    from commonry.contracts.inventory import ImportReport
    from commonry.kit.peers import Answer, Far

HERE = "http://127.0.0.1:8000"
LONGEST = 300.0
"""Seconds an import or an export of one person's things may take."""

url_option = click.option(
    "--url", envvar="COMMONRY_URL", default=HERE, show_default=True, help="The platform's address."
)
email_option = click.option("--email", help="Sign in with this address …")
password_option = click.option(
    "--password", envvar="COMMONRY_PASSWORD", help="… and this password; asked for if left out."
)
token_option = click.option("--token", envvar="COMMONRY_TOKEN", help="A token instead of signing in.")

IMPORT_EXAMPLES = """\b
Examples:
  commonry import things.csv --email you@example.org --dry-run
  commonry import things.csv --email you@example.org --columns "Tool name:title,Type:category"

Columns are found by their names; the report shows which was taken for what. With any mistake nothing is imported.
"""


@click.command("import", epilog=IMPORT_EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@email_option
@password_option
@token_option
@url_option
@click.option("--columns", default="", help="What columns mean: heading:field,heading:field …")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
def import_(
    file: Path, email: str | None, password: str | None, token: str | None, url: str, columns: str, dry_run: bool
) -> None:
    """Import items from a CSV file; ones imported before are updated."""
    import asyncio

    with plainly():
        sent = file.read_bytes()
        click.echo(f"Sending {file} ({len(sent):,} bytes) …")
        report = asyncio.run(_import(sent, Person(url, email, password, token), columns, dry_run))
    _tell(report, dry_run)
    if report.errors:
        raise click.exceptions.Exit(1)


@click.command(epilog="Example: commonry demo --url http://127.0.0.1:9000")
@url_option
def demo(url: str) -> None:
    """Play a whole loan against a running platform and tell it step by step."""
    import asyncio

    with plainly():
        asyncio.run(_demo(url))


async def _demo(url: str) -> None:
    from commonry.demo.caller import Unexpected
    from commonry.demo.journey import play

    peer = _peer(url)
    try:
        await play(peer, click.echo)
    except Unexpected as e:
        raise Trouble(str(e)) from e
    finally:
        await peer.close()


async def _import(sent: bytes, person: "Person", columns: str, dry_run: bool) -> "ImportReport":
    import msgspec

    from commonry.contracts.inventory import ImportReport

    query = {"columns": columns or None, "dry_run": "true" if dry_run else None}
    got = await person.ask("POST", "/api/v1/items/import", query=query, body=sent, media="text/csv")
    return msgspec.json.decode(got.body, type=ImportReport)


def _peer(url: str) -> "Far":
    from commonry.kit.peers import Far

    return Far(f"Commonry at {url}", [url])


class Person:
    """Whoever sits at the command line, signing in when something is asked."""

    def __init__(self, url: str, email: str | None, password: str | None, token: str | None) -> None:
        if not (token or email):
            raise Trouble("Say who you are: --email (and --password), or --token.")
        self._url, self._token, self._email = url, token, email
        self._password = password or ("" if token else click.prompt("Password", hide_input=True, err=True))

    async def ask(
        self, method: str, path: str, *, query: dict[str, Any] | None = None, body: bytes = b"", media: str = ""
    ) -> "Answer":
        """One call, signed in. Raises the platform's problems."""
        from urllib.parse import urlencode

        peer = _peer(self._url)
        try:
            token = self._token or await self._signed_in(peer)
            headers = {"authorization": f"Bearer {token}"} | ({"content-type": media} if media else {})
            said = urlencode({k: v for k, v in (query or {}).items() if v is not None})
            return _good(await peer.call(method, path, query=said, body=body, headers=headers, timeout=LONGEST))
        finally:
            await peer.close()

    async def _signed_in(self, peer: "Far") -> str:
        import msgspec

        body = msgspec.json.encode({"email": self._email, "password": self._password})
        headers = {"content-type": "application/json"}
        got = await peer.call("POST", "/api/v1/auth/login", query="", body=body, headers=headers, timeout=30.0)
        return msgspec.json.decode(_good(got).body)["access_token"]


def _good(got: "Answer") -> "Answer":
    from commonry.kit.problems import from_answer

    if got.status >= 400:
        raise from_answer(got.status, got.body)
    return got


def _tell(report: "ImportReport", dry_run: bool) -> None:
    if report.columns:
        click.echo("Columns:")
        for field, column in report.columns.items():
            click.echo(f"  {field:<16} ← {column}")
    if report.ignored:
        click.echo(f"Not used: {', '.join(report.ignored)}")
    for mistake in report.errors:
        click.echo(f"  row {mistake.row}, {mistake.at}: {mistake.message}", err=True)
    counts = f"{report.created} new, {report.updated} updated, {report.unchanged} unchanged"
    if report.errors:
        click.echo(f"Nothing was imported: {len(report.errors)} mistakes to mend first.", err=True)
    else:
        click.echo(f"Would be: {counts}." if dry_run else f"Done: {counts}.")
