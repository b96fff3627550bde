"""Runs the benchmarks named on the command line, or all of them, and keeps their results."""

import asyncio
import importlib
import json
import platform
import sys
import time
from pathlib import Path

from benchmarks._python import python

HERE = Path(__file__).parent
ALL = sorted(f.stem for f in HERE.glob("*.py") if not f.stem.startswith("_") and f.stem != "embedded")


def _speed() -> float:
    """How fast this machine is right now: what a plain loop costs, to read the other figures by."""
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1000


def main() -> int:
    """Measure; 1 for an unknown name."""
    wanted = sys.argv[1:] or ALL
    if unknown := set(wanted) - set(ALL):
        print(f"no benchmark called {', '.join(sorted(unknown))}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 1
    for name in wanted:
        print(f"== {name}", flush=True)
        result = asyncio.run(importlib.import_module(f"benchmarks.{name}").measure())
        if not result:  # only a part was measured: shown, not kept
            continue
        result["machine"] = {
            "cpu_ms_of_a_million_additions": _speed(),
            "python": python().name,
            "system": platform.system(),
            "cpu": platform.machine(),
        }
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
