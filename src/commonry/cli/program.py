"""All commands, by name."""

import click

from commonry.cli.backing_up import backup, restore
from commonry.cli.doctor import doctor
from commonry.cli.etl import etl
from commonry.cli.exporting import export
from commonry.cli.loading import demo, import_
from commonry.cli.members import promote
from commonry.cli.reporting import report
from commonry.cli.serving import migrate, serve
from commonry.cli.up import up

EXAMPLES = """\b
Examples:
  commonry up                     everything, on http://127.0.0.1:8000
  commonry demo                   play a whole loan against it, step by step
  commonry import things.csv --email you@example.org
  commonry backup                 everything into one file, to be restored
  commonry export                 everything in open formats, to be taken elsewhere
  commonry doctor                 what is wrong, and what to do
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="commonry", message="commonry %(version)s")
def commonry() -> None:
    """Share things: list, find, reserve, pay, pick up, use, return.

    Settings are environment variables COMMONRY_…; what is said on the command line wins.
    """


for command in (up, demo, import_, export, promote, backup, restore, etl, report, doctor, serve, migrate):
    commonry.add_command(command)
