"""Our gateway as `commonry serve gateway` runs it, to be measured: `python -m benchmarks._gateway near|far PORT`.

Far, the services are where the settings say. Near, one small service runs in this process in place of all of ours.
Nothing changes what it answers, so answers are kept as where gateways hear of every change (with a shared cache, or
all in one process). Everything else is the command's own doing.
"""

import sys
from collections.abc import Sequence

from benchmarks import _upstream
from commonry import run
from commonry.cli import serving
from commonry.contracts.settings import Settings
from commonry.kit.cache import MemoryCache
from commonry.kit.peers import Near


def _located(_: Settings, here: Sequence[str]) -> dict[str, Near]:  # noqa: ARG001 why: the signature is `run.locate`'s
    return {name: Near(name, _upstream.app) for name in run.SERVICES}


async def _hearing(_: Settings, *, several: bool) -> MemoryCache:  # noqa: ARG001 why: the signature is `run._cache`'s
    return MemoryCache()


def main() -> None:
    """Serve until told to stop."""
    where, port = sys.argv[1:]
    run._cache = _hearing
    if where == "near":
        run.locate = _located
    serving.serve.main(["gateway", "--port", port])


if __name__ == "__main__":
    main()
