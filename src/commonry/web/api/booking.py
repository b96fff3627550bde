"""A booking's page, and all that its two parties do there: answer, hand over, return, cancel, write, review."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
