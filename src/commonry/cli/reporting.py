"""`commonry report`: a month of sharing as one page, for those who want to see what it achieves."""

from datetime import date
from pathlib import Path

import click

from commonry.cli.backing_up import data_option
from commonry.cli.trouble import Trouble, plainly

EXAMPLES = """\b
Examples:
  commonry report
  commonry report --month 2026-10
  commonry report --month 2026-10 --out october.html --data ~/things

One HTML file with everything in it: open it, send it, or print it to a PDF with your browser. Its numbers are the
warehouse's, as of its last run: bring it up to date with `commonry etl run`.
"""


@click.command(epilog=EXAMPLES)
@click.option("--month", help="The month, as 2026-10.  [default: the last whole one]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file.  [default: report-MONTH.html]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@data_option
def report(month: str | None, out: Path | None, force: bool, data: Path | None) -> None:
    """Write a month's report for the community and its funders."""
    from commonry.cli.storage import data_folder
    from commonry.contracts.settings import Settings
    from commonry.kit.settings import load
    from commonry.warehouse.folder import Folder
    from commonry.warehouse.insights import report as reports
    from commonry.warehouse.serving import NoBuild, everything

    first = _first_of(month)
    target = out or Path(f"report-{first:%Y-%m}.html")
    if target.exists() and not force:
        raise Trouble(f"{target} is there already: choose another name with --out, or replace it with --force.")
    with plainly():
        settings = load(Settings, data=data and str(data))
        try:
            marts, as_of = everything(Folder(data_folder(settings)))
        except NoBuild as e:
            raise Trouble(
                f"There are no numbers in {data_folder(settings)} yet: make them with `commonry etl run`."
            ) from e
        except ModuleNotFoundError as e:
            raise Trouble("This Commonry was installed without its warehouse: install commonry[warehouse].") from e
        place = settings.place.split(",", 2)[2].strip()
        page = reports.report(marts, first, as_of, place)
        try:
            target.write_text(page, "utf-8")
        except OSError as e:
            raise Trouble(f"{target} cannot be written ({e.strerror}): choose another place with --out.") from e
    click.echo(f"Wrote {target}: {first:%B %Y}, as of {as_of:%Y-%m-%d %H:%M} UTC.")


def _first_of(month: str | None) -> date:
    from commonry.kit import clock

    if month is None:
        today = clock.now().date()
        number = today.year * 12 + today.month - 2
        return date(number // 12, number % 12 + 1, 1)
    try:
        return date.fromisoformat(f"{month}-01")
    except ValueError:
        raise Trouble(f"{month} is no month: write it as 2026-10.") from None
