"""Lines that can be cut: a network namespace for each node, all at one bridge, and what may pass between them.

Nothing of it leaves this machine. The bridge has two addresses: one for what the nodes need of each other (etcd), and
one for their clients, so that a node can lose its peers and still be reached by those who write to it.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.ha.patroni import Line

NETWORK = "10.213.77"
PEERS, CLIENTS = f"{NETWORK}.1", f"{NETWORK}.2"


class Lines:
    """A bridge, and a namespace for each name."""

    def __init__(self, names: Sequence[str], mark: str) -> None:
        self.bridge, self.names = f"cb{mark}", names
        self.spaces = {name: f"commonry-{mark}-{name}" for name in names}
        self.hosts = {name: f"{NETWORK}.{n}" for n, name in enumerate(names, 11)}

    def lay(self) -> None:
        _run("ip", "link", "add", self.bridge, "type", "bridge")
        for host in (PEERS, CLIENTS):
            _run("ip", "address", "add", f"{host}/24", "dev", self.bridge)
        _run("ip", "link", "set", self.bridge, "up")
        for n, name in enumerate(self.names):
            outer, inner, space = f"{self.bridge}o{n}", f"{self.bridge}i{n}", self.spaces[name]
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
            _run("ip", "link", "set", inner, "netns", space)
            _run("ip", "link", "set", outer, "master", self.bridge, "up")
            inside = ("ip", "-n", space)
            _run(*inside, "address", "add", f"{self.hosts[name]}/24", "dev", inner)
            _run(*inside, "link", "set", inner, "up")
            _run(*inside, "link", "set", "lo", "up")

    def of(self) -> dict[str, Line]:
        return {name: Line(self.hosts[name], ("ip", "netns", "exec", self.spaces[name])) for name in self.names}

    def cut(self, name: str) -> None:
        """From its peers and from etcd, without a word, in both directions. Its clients still reach it."""
        others = [PEERS, *(host for other, host in self.hosts.items() if other != name)]
        for chain, side in (("INPUT", "-s"), ("OUTPUT", "-d")):
            _run(
                "ip", "netns", "exec", self.spaces[name], "iptables", "-A", chain, side, ",".join(others), "-j", "DROP"
            )

    def mend(self, name: str) -> None:
        _run("ip", "netns", "exec", self.spaces[name], "iptables", "-F")

    def take_up(self) -> None:
        # Ends of lines first, and with each its other end: spaces take their time to go.
        ends = [f"{self.bridge}o{n}" for n in range(len(self.names))]
        for what in (*(("link", end) for end in (*ends, self.bridge)), *(("netns", s) for s in self.spaces.values())):
            subprocess.run(["ip", what[0], "del", what[1]], check=False, capture_output=True, timeout=30)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=30)


@contextmanager
def laid(names: Sequence[str], mark: str) -> Iterator[Lines]:
    """Lines until the end of the block."""
    lines = Lines(names, mark)
    lines.take_up()  # what a run that was killed has left
    try:
        lines.lay()
        yield lines
    finally:
        lines.take_up()
