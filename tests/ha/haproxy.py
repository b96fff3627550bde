"""HAProxy before servers: the one address that a platform is told."""

import socket
import subprocess
import time
from collections.abc import Sequence
from signal import SIGTERM

import pytest

from tests.ha.servers import Room, own
from tests.needs import need
from tests.platform import free_port

LOOPBACK = "127.0.0.1"
LONGEST_START = 30.0
CONFIGURATION = """
global
    maxconn 1000
defaults
    mode tcp
    timeout connect 2s
    timeout client 30m
    timeout server 30m
    timeout check 2s
listen servers
    bind {host}:{port}
    balance roundrobin
    {check}
    default-server {server}
"""


class Balancer:
    """Passes connections on to whichever of the servers `check` (an option of HAProxy's) finds good."""

    def __init__(
        self,
        room: Room,
        name: str,
        servers: Sequence[str],
        *,
        check: str = "",
        server: str = "",
        host: str = LOOPBACK,
    ) -> None:
        self.room, self.host, self.port = room, host, free_port()
        self.program = need("haproxy", "one address for several servers")
        self.file, self.log = room.folder / f"{name}.cfg", room.folder / f"{name}.log"
        text = CONFIGURATION.format(host=host, port=self.port, check=check, server=server)
        self.file.write_text(text + "".join(f"    server s{n} {said}\n" for n, said in enumerate(servers, 1)))
        own(self.file, room.account)
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> "Balancer":
        self.running = self.room.begin([str(self.program), "-f", str(self.file), "-db"], self.log)
        deadline = time.monotonic() + LONGEST_START
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return self
            if self.running.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"HAProxy does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.running is not None:
            self.running.send_signal(SIGTERM)
            self.running.wait(30)
