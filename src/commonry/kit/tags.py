"""How a service says what its answers are about, and that something changed: tags, and messages that name them.

`kept` makes the headers that let the gateway's cache keep an answer; `purge` makes all gateways forget what carries
one of the tags. Once `purge` has returned, no gateway gives an older answer to a request that begins afterwards.
"""

from commonry.kit.cache import Cache

PURGE = "purge"
"""Channel: the message is tags with spaces between them."""


def kept(*tags: str, seconds: int, revalidate: int = 0, on_error: int = 0, everyone: bool = False) -> dict[str, str]:
    """Headers for an answer that our gateways may keep so long; browsers ask again each time.

    It depends on who asks, unless it is the same for `everyone`.
    """
    life = f"max-age={seconds}, stale-while-revalidate={revalidate}, stale-if-error={on_error}"
    headers = {
        "cache-control": "no-cache",
        "commonry-cache-control": f"public, {life}" if everyone else life,
        "commonry-tags": " ".join(tags),
    }
    return headers if everyone else headers | {"vary": "Authorization"}


async def purge(cache: Cache, *tags: str, wait: bool = True) -> None:
    """Everything that carries one of these tags has changed."""
    await cache.publish(PURGE, " ".join(tags), wait=wait)
