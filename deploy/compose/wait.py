"""Waits until the platform at a URL says that all its services answer; ends with code 1 when it does not in time.

Nothing but Python's own library, as it runs on the machine and not in a container.
"""

import json
import sys
import time
import urllib.error
import urllib.request

LONGEST = 180.0
IN_A_ROW = 6
"""Answers that must be good: there are two gateways, which are asked in turn, and each sees for itself."""


def asked(url: str) -> dict[str, object]:
    """What is answered."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 why: run.sh makes the address, http://…
        return json.load(answer)


def is_well(url: str, number: int) -> bool:
    """Whether every service is ready, and things are shown: another list each time, so that no cache answers."""
    try:
        return asked(f"{url}/api/v1/status")["status"] == "ok" and "data" in asked(f"{url}/api/v1/items?limit={number}")
    except (urllib.error.URLError, OSError, ValueError, KeyError):
        return False


def main(url: str) -> int:
    deadline = time.monotonic() + LONGEST
    well = 0
    while well < IN_A_ROW:
        if time.monotonic() > deadline:
            return 1
        well = well + 1 if is_well(url, well + 1) else 0
        time.sleep(0.1 if well else 0.5)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
