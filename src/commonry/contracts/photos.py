"""Photos of items, as inventory shows and takes them."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from commonry.contracts.words import Body, Message


class Photo(Message, kw_only=True):
    """A photo of an item: what it shows in words, the pixels of its largest size, and where each size (WebP) is.

    The longer edge has at most 400, 800 and 1600 pixels.
    """

    id: UUID
    alt: str
    width: int
    height: int
    small: str
    medium: str
    large: str

    def url(self, width: int) -> str:
        """The smallest size that is good for so many pixels."""
        return self.small if width <= 400 else self.medium if width <= 800 else self.large


Alt = Annotated[str, Meta(max_length=300)]


class WantedPhoto(Body, kw_only=True):
    """One of an item's photos, and what it shows; left out, the words stay as they are."""

    id: UUID
    alt: Alt | UnsetType = UNSET


class WantedPhotos(Body, kw_only=True):
    """PUT /items/{id}/photos: those that stay, in this order. The first is the item's picture in lists."""

    photos: list[WantedPhoto]
