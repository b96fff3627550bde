"""The community desk, for managers: today, members, items, bookings, money, import and export."""

from litestar.handlers import HTTPRouteHandler

routes: list[HTTPRouteHandler] = []
