"""The shortest way through the gateway: a plain read that is not for keeping goes to a far service and back.

No coroutine waits for it. The request is written to a kept connection, and when the whole answer has come it is
written to the client. Anything out of the ordinary (nobody free, no connection, a long answer, a fault) takes the usual
way from there, where all the rest is decided.
"""

import time

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from commonry.gateway.edge import Edge, field_lines
from commonry.gateway.far import FarService
from commonry.gateway.heads import Head
from commonry.gateway.quick import Client, date_line
from commonry.gateway.tally import CLASSES, tally
from commonry.kit import traces
from commonry.kit.http.connection import Answered
from commonry.kit.http.messages import Fault
from commonry.kit.problems import MethodNotAllowed
from commonry.kit.replica import Begun
from commonry.kit.telemetry import access, new_request_id, new_trace_ids


class Relay:
    """One request under way."""

    __slots__ = (
        "_began",
        "_begun",
        "_client",
        "_edge",
        "_head",
        "_limits",
        "_rid",
        "_route",
        "_service",
        "_span",
        "_target",
        "_trace",
    )

    def __init__(self, client: Client, edge: Edge, head: Head, route: str, limits: bytes) -> None:
        self._client, self._edge, self._head, self._route, self._limits = client, edge, head, route, limits
        self._began = time.monotonic()
        trace, self._span = new_trace_ids()
        self._rid, self._trace = head.request_id or new_request_id(), head.trace_id or trace

    def begin(self, service: FarService, target: bytes, address: str) -> bool:
        """Send it. False: it has to take the usual way at once."""
        self._service, self._target = service, target
        own = (
            f"x-request-id: {self._rid}\r\ntraceparent: 00-{self._trace}-{self._span}-01\r\n"
            f"commonry-client: {address}\r\n"
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
            self._client.go_on(self._head, self._target, None if again else outcome)
        elif outcome.whole is None or outcome.status == MethodNotAllowed.status:
            self._client.go_on(self._head, self._target, outcome)
        else:
            self._write(outcome, outcome.whole)

    def _write(self, answered: Answered, body: bytes) -> None:
        client, status, personal = self._client, answered.status, self._head.asked.is_personal
        parts = field_lines(answered.headers, self._rid.encode(), personal, client.scheme)
        parts += (self._limits, b"\r\n" if status in (204, 304) else b"content-length: %d\r\n\r\n" % len(body), body)
        client.transport.write(b"".join((STATUS_LINE[status], date_line(client.server_state), *parts)))
        seconds = time.monotonic() - self._began
        tally.note("bypass" if personal else "pass", self._route, CLASSES[status // 100], seconds)
        access.request("GET", self._route, status, seconds, self._rid, self._trace)
        traces.note("gateway", (self._trace, self._span), self._head.caller, self._route, status, seconds)
        client.quick_done()
