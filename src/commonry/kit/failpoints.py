"""Places where a test may make a process stumble: `COMMONRY_FAILPOINTS="name=sleep:3,other=exit"`.

Empty in production: a failpoint is then one look into an empty dictionary. `exit` ends the process as kill -9 would,
`sleep:S` delays S seconds, `wait` until what is set is replaced, `error` raises. A trailing `*1` fires once only.
"""

import asyncio
import os


def _parse(text: str) -> dict[str, list[str]]:
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: action.split("*") for name, _, action in pairs}


_set: dict[str, list[str]] = _parse(os.environ.get("COMMONRY_FAILPOINTS", ""))
_waiting: list[asyncio.Event] = []


def arm(text: str) -> None:
    """Replace what is set, for tests in this process. An empty text disarms all."""
    while _waiting:
        _waiting.pop().set()
    _set.clear()
    _set.update(_parse(text))


async def failpoint(name: str) -> None:
    """Stumble here if a test asked for it."""
    if not _set or name not in _set:
        return
    action, *once = _set[name]
    if once:
        del _set[name]
    if action == "exit":
        os._exit(137)
    if action == "error":
        raise RuntimeError(f"failpoint {name}")
    if action == "wait":
        _waiting.append(asyncio.Event())
        await _waiting[-1].wait()
        return
    await asyncio.sleep(float(action.removeprefix("sleep:")))
