"""Where files are kept: a folder, or a bucket that speaks S3; one address says which.

A file is whole or not there, and is never changed: whoever has something new gives it a new name. A bucket's endpoint,
region and keys are where its own tools look for them, in `AWS_…`.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from commonry.kit.problems import Unavailable

AWAY = "Where files are kept does not answer."


class Kept(NamedTuple):
    """A file that is there, and since when."""

    name: str
    at: datetime


class Files:
    """All files below `address`: `file:///folder`, which is made when it is missing, or `s3://bucket/folder`."""

    def __init__(self, address: str) -> None:
        self.address = address

    @cached_property
    def _store(self) -> Any:
        if not self.address:
            raise Unavailable("There is nowhere to keep files: set COMMONRY_FILES_URL.")
        if self.address.startswith("file://"):
            folder = Path(unquote(urlsplit(self.address).path))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(folder)
        return S3Store.from_url(
            self.address,
            client_options={"allow_http": True, "timeout": "20s", "connect_timeout": "3s"},
            retry_config={"max_retries": 3},
        )

    async def put(self, name: str, content: bytes) -> None:
        """Keep a file. Raises `Unavailable`."""
        try:
            await obstore.put_async(self._store, name, content)
        except (BaseError, OSError) as e:
            raise Unavailable(AWAY) from e

    async def get(self, name: str) -> bytes | None:
        """A file, None if it is not there. Raises `Unavailable`."""
        try:
            found = await obstore.get_async(self._store, name)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as e:
            raise Unavailable(AWAY) from e

    async def remove(self, names: Iterable[str]) -> None:
        """Remove those of these that are there. Raises `Unavailable`."""
        for name in names:
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as e:
                raise Unavailable(AWAY) from e

    async def all(self, folder: str) -> AsyncIterator[Kept]:
        """Every file whose name begins with `folder/`. Raises `Unavailable`."""
        try:
            async for some in self._listed(folder):
                for one in some:
                    yield Kept(one["path"], one["last_modified"])
        except (BaseError, OSError) as e:
            raise Unavailable(AWAY) from e

    def _listed(self, folder: str) -> Any:
        listing: Any = vars(obstore)["list"]  # one of its many overloads speaks of Arrow, which has no types
        return listing(self._store, folder)
