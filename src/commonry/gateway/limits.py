"""How large a body may be: refused at once when it says so itself, cut off when it turns out so on the way.

A refused sender is usually still sending. Its bytes are read and dropped for a moment, so that it gets to read the
answer instead of a connection reset; then the connection is closed.
"""

import asyncio
from contextlib import suppress

from commonry.kit.asgi import App, Message, RawHeaders, Receive, Scope, Send, answer, problem_reply
from commonry.kit.problems import Mistake, NotValid, TooLarge

DRAINED = 32 * 2**20
DRAIN_SECONDS = 2.0


def limited(app: App, most: int) -> App:
    """`app`, for bodies of at most `most` bytes."""

    async def within_the_limit(scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        length = declared(headers)
        if length is not None and length > most:
            await refuse(headers, receive, send)
        elif length is None and any(name == b"transfer-encoding" for name, _ in headers):
            closing = closing_when_too_large(receive, send)
            try:
                await app(scope, Body(receive, most).receive, closing)
            except TooLarge as e:
                await answer(closing, problem_reply(e))
        else:
            await app(scope, receive, send)

    return within_the_limit


class Body:
    """A request's body, with a limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left = receive, limit

    async def receive(self) -> Message:
        """The next message. Raises `TooLarge` once the sum is over the limit."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise TooLarge
        return message


def declared(headers: RawHeaders) -> int | None:
    """The Content-Length, None without one. Raises `NotValid` for anything but one number."""
    said = {value for name, value in headers if name == b"content-length"}
    if not said:
        return None
    length = said.pop()
    if said or not length.isdigit():
        raise NotValid(Mistake("header.Content-Length", "must be one whole number"))
    return int(length)


async def refuse(headers: RawHeaders, receive: Receive, send: Send) -> None:
    """Answer 413 without reading the body, and close."""
    waits_for_our_word = any(name == b"expect" for name, _ in headers)
    await answer(send if waits_for_our_word else closing_when_too_large(receive, send), problem_reply(TooLarge()))


def closing_when_too_large(receive: Receive, send: Send) -> Send:
    """`send`, but after a 413 the rest of the body is dropped and the connection closed."""
    closing = False

    async def sending(message: Message) -> None:
        nonlocal closing
        if message["type"] == "http.response.start" and message["status"] == TooLarge.status:
            closing = True
            message = message | {"headers": [*message["headers"], (b"connection", b"close")]}
        elif closing and not message.get("more_body"):
            await send(message | {"more_body": True})
            await _drain(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return sending


async def _drain(receive: Receive) -> None:
    left = DRAINED
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
