"""What concerns oneself: what one borrows and lends, and what was written."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
