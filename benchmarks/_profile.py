"""Where our gateway spends its time under load, by py-spy where that is installed."""

import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import _load
from benchmarks._contenders import Contender

SHOWN = 20
SECONDS = 6


def top_costs(contender: Contender, requests: Path) -> list[str]:
    """The functions that were running most often, each with its share of the samples."""
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=Path(sys.executable).parent)
    if spy is None:
        sys.exit("A profile needs py-spy: pip install py-spy")
    output = requests.with_suffix(".profile")
    command = [spy, "record", "--pid", str(contender.own[0]), "--duration", str(SECONDS - 2), "--rate", "250"]
    command += ["--native", "--function", "--format", "raw", "--output", str(output)]
    with ThreadPoolExecutor(1) as load:
        sent = load.submit(_load.send, contender.url, requests, 16, SECONDS)
        subprocess.run(command, check=True, capture_output=True)
        sent.result()
    innermost = Counter[str]()
    for line in output.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        innermost[stack.rsplit(";", 1)[-1]] += int(count)
    total = innermost.total() or 1
    return [f"{count / total:6.1%}  {name}" for name, count in innermost.most_common(SHOWN)]
