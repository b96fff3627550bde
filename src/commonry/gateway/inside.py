"""The same short way for a service in this process: its application is called, and its answer written, without layers.

Anything out of the ordinary (a failure, a method that is not allowed) is asked again the usual way, which tells it
properly; a read may be made twice.
"""

import asyncio
import time
from typing import cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from commonry.gateway.edge import Edge, field_lines
from commonry.gateway.heads import Head
from commonry.gateway.quick import Client, Quick, date_line, scope_of
from commonry.gateway.tally import CLASSES, tally
from commonry.kit import traces
from commonry.kit.asgi import App, Message
from commonry.kit.problems import MethodNotAllowed
from commonry.kit.telemetry import access, new_request_id, new_trace_ids


class Inside(Quick):
    """One request under way in this process."""

    FOR_OTHERS = frozenset({MethodNotAllowed.status})

    def __init__(self, client: Client, edge: Edge, head: Head, route: str, limits: bytes) -> None:
        self._edge, self._request, self._route, self._client = edge, head, route, client
        self._limits = limits
        self._began = time.monotonic()
        trace, self._span = new_trace_ids()
        self._rid, self._trace = head.request_id or new_request_id(), head.trace_id or trace

    def begin(self, app: App, target: bytes, address: str) -> None:
        """Call the application."""
        self._target, connection = target, cast(HttpToolsProtocol, self._client)
        trace = f"00-{self._trace}-{self._span}-01"
        own = [(b"x-request-id", self._rid.encode()), (b"traceparent", trace.encode())]
        own.append((b"commonry-client", address.encode()))
        self._edge.under_way += 1
        self._begin(connection, app, self._client.quick_done, scope_of(connection, target, self._request.passed + own))

    def _head(self, start: Message, length: int | None) -> bytes:
        status, headers = start["status"], start["headers"]
        personal, scheme = self._request.asked.is_personal, self._client.scheme
        parts = field_lines(headers, self._rid.encode(), personal, scheme, keeps_length=length is None)
        if length is None:
            self._is_chunked = not any(name == b"content-length" for name, _ in headers)
            parts.append(b"transfer-encoding: chunked\r\n" if self._is_chunked else b"")
        elif status not in (204, 304):
            parts.append(b"content-length: %d\r\n" % length)
        date = date_line(self._client.server_state)
        return b"".join((STATUS_LINE[status], date, *parts, self._limits, b"\r\n"))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._edge.under_way -= 1
        failed = not task.cancelled() and task.exception() is not None
        if not self._has_begun and (failed or self._is_for_others or self.is_late):
            self._connection.server_state.tasks.discard(task)
            self._scope.clear()
            self._client.go_on(self._request, self._target, None)
            return
        route = self._scope.get("path_template") or self._route
        status = self._start["status"] if self._start else 499
        seconds = time.monotonic() - self._began
        tally.note("bypass" if self._request.asked.is_personal else "pass", route, CLASSES[status // 100], seconds)
        access.request("GET", route, status, seconds, self._rid, self._trace)
        traces.note("gateway", (self._trace, self._span), self._request.caller, route, status, seconds)
        super()._done(task)
