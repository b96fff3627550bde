"""The shortest way through the gateway: a plain read that is not for keeping goes to a far service and back.

No coroutine waits for it. The request is written to a kept connection, and when the whole answer has come it is
written to the client. Anything out of the ordinary (nobody free, no connection, a long answer, a fault) takes the usual
way from there, where all the rest is decided.
"""

import time
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from commonry.gateway.edge import Edge, field_lines
from commonry.gateway.far import FarService
from commonry.gateway.heads import Head
from commonry.gateway.tally import CLASSES, tally
from commonry.kit.http.connection import Answered
from commonry.kit.http.messages import Fault, lines
from commonry.kit.problems import MethodNotAllowed
from commonry.kit.replica import Begun
from commonry.kit.telemetry import access, new_request_id, new_trace_ids

Done = Callable[[], None]
Otherwise = Callable[[Answered | Fault | None], None]
"""Takes the usual way: with what has come already, or from the start."""


class Relay:
    """One request under way."""

    def __init__(self, connection: HttpToolsProtocol, edge: Edge, head: Head, route: str, limits: bytes) -> None:
        self._connection, self._edge, self._head, self._route, self._limits = connection, edge, head, route, limits
        self._began = time.perf_counter()
        trace, self._span = new_trace_ids()
        self._rid, self._trace = head.request_id or new_request_id(), head.trace_id or trace

    def begin(self, service: FarService, target: bytes, client: str, done: Done, otherwise: Otherwise) -> bool:
        """Send it: `done` when it is answered, else `otherwise`. False: it has to take the usual way at once."""
        self._done, self._otherwise, self._service = done, otherwise, service
        own = (
            f"x-request-id: {self._rid}\r\ntraceparent: 00-{self._trace}-{self._span}-01\r\n"
            f"commonry-client: {client}\r\n"
        )
        self._edge.under_way += 1
        self._begun: Begun | None = service.read(target, self._head.fields + own.encode(), self._over)
        if self._begun is None:
            self._edge.under_way -= 1
        return self._begun is not None

    def cancel(self) -> None:
        """The client has left."""
        self._edge.under_way -= 1
        if self._begun is not None:
            self._begun.call_off()

    def _over(self, outcome: Answered | Fault) -> None:
        self._edge.under_way -= 1
        self._begun = None  # which refers to us: a circle would wait to be found
        if isinstance(outcome, Fault):
            again = outcome.stale or self._service.replicas.may_repeat()
            self._otherwise(None if again else outcome)
        elif outcome.whole is None or outcome.status == MethodNotAllowed.status:
            self._otherwise(outcome)
        else:
            self._write(outcome, outcome.whole)

    def _write(self, answered: Answered, body: bytes) -> None:
        connection, status, personal = self._connection, answered.status, self._head.asked.is_personal
        date = lines(connection.server_state.default_headers)
        parts = [
            STATUS_LINE[status],
            date,
            *field_lines(answered.headers, self._rid.encode(), personal, connection.scheme),
            self._limits,
        ]
        if status not in (204, 304):
            parts.append(b"content-length: %d\r\n" % len(body))
        parts += (b"\r\n", body)
        connection.transport.write(b"".join(parts))
        seconds = time.perf_counter() - self._began
        tally.note("bypass" if personal else "pass", self._route, CLASSES[status // 100], seconds)
        access.request("GET", self._route, status, seconds, self._rid, self._trace)
        self._done()
