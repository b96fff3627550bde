"""How things are, who made what is used here, and the parts that pages are made of."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
