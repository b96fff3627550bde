"""Borrowing an item: the frozen quote, how it is paid, and one button."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
