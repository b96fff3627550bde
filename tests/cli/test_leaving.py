"""A server that is told to end loses no request: not of who waits in the queue, not on a kept connection, none twice.

`serve` is run over made-up answers, so that a test decides what is under way. The gateway's own way of answering has
its turn in tests/upgrade/.
"""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

SERVER = """
import asyncio, sys, time
from commonry.cli import leaving
from commonry.cli.listening import bind, run, serve

take = leaving.Server._take_the_late

async def late(server):
    if len(sys.argv) > 2:
        print("closed", flush=True)
        time.sleep(0.5)
    if sys.argv[-1] != "drop":
        return await take(server)
    server._queue.close()

leaving.Server._take_the_late = late

async def app(scope, receive, send):
    if scope["path"] == "/slow":
        await asyncio.sleep(0.7)
    body = scope["path"].encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})

with bind("127.0.0.1", 0) as listening:
    told = lambda: print(listening.getsockname()[1], flush=True)
    run(serve(app, listening, told, linger=float(sys.argv[1])))
"""


class Served(NamedTuple):
    """A server, and the port it listens on."""

    process: subprocess.Popen[str]
    port: int

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def told_to_end(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def refuses(self) -> bool:
        """Whether it has stopped listening."""
        try:
            self.connected().close()
        except ConnectionRefusedError:
            return True
        return False


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    command = [sys.executable, "-c", SERVER, *getattr(request, "param", "1.0").split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Served(process, int(process.stdout.readline()))
        process.kill()


def asked(connection: socket.socket, path: str) -> None:
    connection.sendall(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())


def answer(connection: socket.socket) -> tuple[bytes, bool]:
    """The body, and whether it was said to be the last."""
    got = b""
    while b"\r\n\r\n" not in got:
        some = connection.recv(4096)
        assert some, f"cut off after {got!r}"
        got += some
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    while len(body) < length:
        body += connection.recv(4096)
    return body, b"\r\nconnection: close" in head.lower()


def until(holds, seconds: float = 3) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_kept_connection_gets_a_last_answer_that_says_so(served: Served) -> None:
    with served.connected() as kept:
        asked(kept, "/one")
        assert answer(kept) == (b"/one", False)
        served.told_to_end()
        until(served.refuses)
        asked(kept, "/two")
        assert answer(kept) == (b"/two", True)
        assert kept.recv(1) == b""
    assert served.process.wait(5) == 0


def test_what_is_under_way_is_finished(served: Served) -> None:
    with served.connected() as busy:
        asked(busy, "/slow")
        time.sleep(0.1)  # it is at work by now; the answer is the same if it is not
        served.told_to_end()
        assert answer(busy) == (b"/slow", True)
    assert served.process.wait(5) == 0


def called_while_closing(served: Served) -> list[socket.socket]:
    """Callers who came after the server had stopped taking any, and before it stopped listening."""
    served.told_to_end()
    assert served.process.stdout
    assert served.process.stdout.readline() == "closed\n"
    queue = [served.connected() for _ in range(20)]
    for number, caller in enumerate(queue):
        asked(caller, f"/{number}")
    return queue


@pytest.mark.parametrize("served", ["1.0 take"], indirect=True)
def test_who_waits_in_the_queue_is_answered(served: Served) -> None:
    queue = called_while_closing(served)
    assert [answer(caller) for caller in queue] == [(f"/{n}".encode(), True) for n in range(20)]
    for caller in queue:
        caller.close()
    assert served.process.wait(5) == 0


@pytest.mark.parametrize("served", ["1.0 drop"], indirect=True)
def test_negative_control_without_that_they_are_cut_off(served: Served) -> None:
    for caller in called_while_closing(served):
        with caller, pytest.raises((ConnectionResetError, AssertionError)):
            answer(caller)


def test_with_nobody_there_it_ends_at_once(served: Served) -> None:
    began = time.monotonic()
    served.told_to_end()
    assert served.process.wait(5) == 0
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("served", ["60"], indirect=True)
def test_ctrl_c_does_not_linger(served: Served) -> None:
    with served.connected() as kept:
        asked(kept, "/one")
        answer(kept)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(5) == 0
        assert kept.recv(1) == b""


@pytest.mark.parametrize("served", ["60"], indirect=True)
def test_the_second_time_it_does_not_wait(served: Served) -> None:
    with served.connected() as kept:
        asked(kept, "/one")
        answer(kept)
        served.told_to_end()
        until(served.refuses)
        assert served.process.poll() is None
        served.told_to_end()
        assert served.process.wait(3) == 0


@pytest.mark.faults
def test_a_crowd_that_never_tries_again_loses_nothing(served: Served) -> None:
    """Clients on kept connections, each of which asks without pause until it hears that it was the last."""
    wrong: list[object] = []
    answered: list[int] = []

    def client() -> None:
        count = 0
        try:
            with served.connected() as kept:
                last = False
                while not last:
                    asked(kept, "/again")
                    body, last = answer(kept)
                    assert body == b"/again"
                    count += 1
        except (OSError, AssertionError) as e:
            wrong.append(e)
        answered.append(count)

    clients = [threading.Thread(target=client) for _ in range(12)]
    for one in clients:
        one.start()
    until(lambda: len(answered) == 0 and all(one.is_alive() for one in clients))
    time.sleep(0.3)  # let them get going
    served.told_to_end()
    for one in clients:
        one.join(10)
    assert wrong == []
    assert len(answered) == 12
    assert min(answered) > 1
    assert served.process.wait(5) == 0
