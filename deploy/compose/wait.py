"""Waits until the platform at a URL says that all its services answer; ends with code 1 when it does not in time.

Nothing but Python's own library, as it runs on the machine and not in a container.
"""

import json
import sys
import time
import urllib.error
import urllib.request

LONGEST = 180.0


def is_well(url: str) -> bool:
    """Whether every service is ready."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/status", timeout=10) as answer:  # noqa: S310 why: run.sh makes the address, http://…
            return json.load(answer)["status"] == "ok"
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False


def main(url: str) -> int:
    deadline = time.monotonic() + LONGEST
    while not is_well(url):
        if time.monotonic() > deadline:
            return 1
        time.sleep(0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
