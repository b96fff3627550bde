"""The table of entries in the words of the payments service itself: the indented part of its docstring."""

import inspect
import textwrap

from commonry import payments

BEGINS = "step  "


def chart() -> str:
    """The table as it stands there."""
    lines = inspect.cleandoc(payments.__doc__ or "").splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip().startswith(BEGINS))
    last = next(n for n in range(first, len(lines)) if not lines[n].strip())
    return "```text\n" + textwrap.dedent("\n".join(lines[first:last])) + "\n```"
