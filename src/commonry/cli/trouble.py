"""What goes wrong is said in one sentence, on standard error, with exit code 1. No traceback for what one can mend."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

import click


class Trouble(click.ClickException):
    """One clear sentence: what is wrong and what to do."""

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """Without click's `Error: ` in front."""
        click.echo(self.message, err=True)


@contextmanager
def plainly() -> Generator[None]:
    """Turn the faults that people can mend into `Trouble`."""
    from commonry.kit.db import DatabaseError
    from commonry.kit.postgres import PostgresTrouble
    from commonry.kit.problems import Problem
    from commonry.kit.settings import WrongSettings

    try:
        yield
    except (WrongSettings, PostgresTrouble) as e:
        raise Trouble(str(e)) from e
    except DatabaseError as e:
        raise Trouble(f"The database refuses: {first_line(e)}.") from e
    except Problem as e:
        raise Trouble(e.detail) from e
    except OSError as e:
        raise Trouble(in_words(e)) from e


def first_line(error: Exception) -> str:
    """The first line of what a library says, without its full stop."""
    return (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")


def in_words(error: OSError) -> str:
    """An operating system's refusal as a sentence."""
    name = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full (at {name}): free some space and start again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{name} cannot be written: change its owner, or choose another folder with --data."
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return f"{name} is not a folder: choose another with --data."
    return f"{name}: {error.strerror or error}."
