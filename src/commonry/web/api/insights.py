"""What sharing achieves, for managers: plots from the warehouse, each with its table."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
