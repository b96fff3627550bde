"""Speaking to a platform as people do: its public API through any peer, near or far."""

from typing import Any

import msgspec

from commonry.kit.peers import Peer

PATIENCE = 20.0
LINE = "a-line-that-no-picture-has"


class Unexpected(Exception):
    """The platform answered something that the story does not know."""


class Platform:
    """The public API behind a peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one call below /api/v1."""
        headers = {"content-type": "application/json"} if body is not None else {}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"idempotency-key": key} if key else {}
        bare, _, query = path.partition("?")
        sent = msgspec.json.encode(body) if body is not None else b""
        got = await self.peer.call(method, f"/api/v1{bare}", query=query, body=sent, headers=headers, timeout=PATIENCE)
        return got.status, msgspec.json.decode(got.body) if got.body else None

    async def must(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, key: str | None = None
    ) -> Any:
        """The JSON of a call that has to succeed. Raises Unexpected."""
        status, answer = await self.call(method, path, body, token=token, key=key)
        if status >= 400:
            raise Unexpected(f"{method} {path} answered {status}: {answer}")
        return answer

    async def send_picture(self, path: str, picture: bytes, words: str, *, token: str) -> None:
        """Add a picture. Raises Unexpected."""
        head = f'--{LINE}\r\nContent-Disposition: form-data; name="photo"; filename="0"\r\n\r\n'.encode()
        tail = f'\r\n--{LINE}\r\nContent-Disposition: form-data; name="alt"\r\n\r\n{words}\r\n--{LINE}--\r\n'.encode()
        headers = {"content-type": f"multipart/form-data; boundary={LINE}", "authorization": f"Bearer {token}"}
        got = await self.peer.call(
            "POST", f"/api/v1{path}", query="", body=head + picture + tail, headers=headers, timeout=PATIENCE
        )
        if got.status >= 400:
            raise Unexpected(f"POST {path} answered {got.status}: {got.body!r}")

    async def sign_in(self, email: str, password: str) -> tuple[str, str]:
        """Token and member id."""
        answer = await self.must("POST", "/auth/login", {"email": email, "password": password})
        return answer["access_token"], answer["member"]["id"]
