"""Our gateway as `commonry serve gateway` runs it, to be measured: `python -m benchmarks._gateway near|far PORT`.

Far, the services are where the settings say. Near, one small service runs in this process in place of all of ours.
Everything else is the command's own doing.
"""

import socket
import sys
from collections.abc import Sequence

from benchmarks import _upstream
from commonry import run
from commonry.cli import listening, serving
from commonry.contracts.settings import Settings
from commonry.kit.peers import Near


def _located(_: Settings, here: Sequence[str]) -> dict[str, Near]:  # noqa: ARG001 why: the signature is `run.locate`'s
    return {name: Near(name, _upstream.app) for name in run.SERVICES}


def _bound(host: str, port: int) -> socket.socket:
    """A socket that two processes may listen on."""
    shared = socket.socket()
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((host, port))
    shared.listen(1024)
    return shared


def main() -> None:
    """Serve until told to stop."""
    where, port = sys.argv[1:]
    if where == "near":
        run.locate = _located
    if "share_port" not in Settings.__struct_fields__:  # until the settings have it
        listening.bind = _bound
    serving.serve.main(["gateway", "--port", port])


if __name__ == "__main__":
    main()
