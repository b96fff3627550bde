"""An item's own pages for its owner: listing it, changing it, its photos and its calendar."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
