"""A member as others see them: their things, and what others say of them."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
