"""uvicorn's HTTP/1.1, made strict.

What two programs could understand differently (two lengths, a length and chunks, folded lines, no host or two) is 400
and the end of the connection. Heads have a size and a time, bodies may not trickle, and who does not read is cut off.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from commonry.contracts.settings import Settings
from commonry.gateway.edge import SECURITY
from commonry.gateway.heads import MOST_FIELDS, is_strange
from commonry.kit.asgi import problem_reply, start_of
from commonry.kit.http.messages import lines
from commonry.kit.problems import BadRequest, HeadersTooLarge, Problem, TooSlow
from commonry.kit.telemetry import access, new_request_id, refused

LONGEST_HEAD = 32 * 1024
"""Bytes of a head, and of whatever else comes without a byte of a body: trailers, extensions of chunks."""
KEPT_ALIVE = 75.0
"""Seconds an idle connection is kept."""
SLOWEST = 100
"""Bytes a second of a body, in the long run; who sends less is not waited for."""


class Strict(HttpToolsProtocol):
    """One client's connection."""

    settings: Settings
    open: set["Strict"]
    """Every connection there is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_message = self._in_head = False
        self._without_body, self._body_size = 0, 0
        self._head_began, self._answered_at = 0.0, 0.0
        self._was_active, self._idle_since = True, self.loop.time()
        self._stalled_at: float | None = None
        self._unsent = 0
        self._refusal: Problem | None = None

    def data_received(self, data: bytes) -> None:
        """Whatever the client sends."""
        self._was_active = True
        self._without_body += len(data)
        super().data_received(data)
        if self._in_message and self._without_body > LONGEST_HEAD and not self.transport.is_closing():
            self.refuse(HeadersTooLarge())

    # what the parser tells

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_message = self._in_head = True
        self._without_body, self._head_began = 0, self.loop.time()
        self._body_size = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of its head; one that comes after the body is nothing to us."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if len(self.headers) > MOST_FIELDS or size > LONGEST_HEAD:
            self._refusal = HeadersTooLarge()
            raise ValueError("too large")
        if why := is_strange(self.headers, cast(httptools.HttpRequestParser, self.parser).get_http_version()):
            self._refusal = BadRequest(why)
            raise ValueError(why)
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._without_body, self._body_size = 0, self._body_size + len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It is there whole."""
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        self._was_active, self._answered_at = True, self.loop.time()
        super().on_response_complete()

    # answers to what is no request

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is refused with a problem document, and nothing more is read from there."""
        self.refuse(self._refusal or BadRequest(f"{BadRequest.__doc__} {msg}"))

    def refuse(self, problem: Problem) -> None:
        """Answer with this problem and close. Where another answer is under way, it is cut off instead."""
        if self._is_answering():
            if self._in_head or not self._in_message or self.pipeline or self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True  # whatever the application still says of this request
            self.cycle.message_event.set()
        reply, rid = problem_reply(problem), new_request_id()
        refused.labels(problem.slug).inc()
        access.request("-", "unread", problem.status, 0.0, rid, "")
        extra = [(b"connection", b"close"), (b"x-request-id", rid.encode()), *SECURITY]
        fields = [*self.server_state.default_headers, *start_of(reply)["headers"], *extra]
        self.transport.write(STATUS_LINE[problem.status] + lines(fields) + b"\r\n" + reply.body)
        self.transport.close()

    # time

    def look(self, now: float) -> None:
        """Now and then: close what is idle, too slow, or does not read."""
        if self._was_active:
            self._was_active, self._idle_since = False, now
        if self._stalled_at is not None:
            self._look_at_stalled(now, self._stalled_at)
        elif self._in_head:
            if now - self._head_began > self.settings.header_seconds:
                self.refuse(TooSlow())
        elif self._in_message and self._is_answering():
            self._look_at_body(now)
        elif not self._is_answering() and not self._is_busy(now):
            still_sends = self._in_message and now - self._answered_at > self.settings.header_seconds
            if still_sends or now - self._idle_since > KEPT_ALIVE:
                self.transport.close()

    def _is_busy(self, now: float) -> bool:  # noqa: ARG002 why: for who has a way of its own, and looks at its time
        """Whether something else is under way."""
        return False

    def _look_at_body(self, now: float) -> None:
        """A body that has stopped coming, or trickles, is not waited for; unless it is us who do not read it."""
        seconds = now - self._head_began
        if self.flow.read_paused:
            self._idle_since, self._head_began, self._body_size = now, now, 0
        elif now - self._idle_since > self.settings.header_seconds or (
            seconds > 2 * self.settings.header_seconds and self._body_size < SLOWEST * seconds
        ):
            self.refuse(TooSlow())

    def _look_at_stalled(self, now: float, since: float) -> None:
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent < before:
            self._stalled_at = now
        elif now - since > self.settings.send_seconds:
            self.transport.abort()

    def _is_answering(self) -> bool:
        """Whether a request is under way that took the usual way."""
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def pause_writing(self) -> None:
        """The client takes nothing at the moment."""
        self._stalled_at, self._unsent = self.loop.time(), self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._stalled_at = None
        super().resume_writing()

    # the end

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has come."""
        self.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.open.discard(self)
        super().connection_lost(exc)
