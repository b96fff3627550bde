"""The command line. `commonry up` is all of Commonry on one machine; the other commands serve those who run it.

This module must be readable by old interpreters, so that they get a sentence instead of a traceback; the commands are
in `program`. What a command needs is imported when it runs: `commonry --help` answers at once.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 why: whoever starts us from a checkout was not asked by pip
    sys.exit(
        "Commonry needs Python 3.11 or newer, and this is {}.{}: install a newer one.".format(*sys.version_info[:2])
    )


def main() -> None:
    """Run the command named by the arguments."""
    from commonry.cli.program import commonry

    commonry(prog_name="commonry")


__all__ = ["main"]
