"""Each path finds its service, and only public paths find one."""

import pytest

from commonry.gateway.routes import route_for


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/api/v1/auth/login", "users"),
        ("/api/v1/members", "users"),
        ("/api/v1/members/me", "users"),
        ("/api/v1/members/7/reviews", "bookings"),
        ("/api/v1/members/7/export", "users"),
        ("/api/v1/items", "inventory"),
        ("/api/v1/items/7/photos/8", "inventory"),
        ("/api/v1/categories", "inventory"),
        ("/api/v1/bookings/7/accept", "bookings"),
        ("/api/v1/payments/webhooks/stripe", "payments"),
        ("/", "web"),
        ("/items/7", "web"),
        ("/bookings/7/cancel", "web"),
        ("/nothing", "web"),
        ("/internals", "web"),
    ],
)
def test_paths_find_their_service(path, service):
    route = route_for(path)
    assert route is not None
    assert route.service == service


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/docs",
        "/metrics",
        "/healthz",
        "/readyz",
        "/internal",
        "/problems/not-found",
        "/api/v1",
        "/api/v1/",
        "/api/v1/status",
        "/api/v1/itemsx",
        "/api/v2/items",
        "/internal/openapi.json",
        "/internal/items/7/terms",
        "/api/v1/internal/items",
        "//api/v1/items",
        "/api//v1/items",
        "/api/v1/items/../../../internal/openapi.json",
        "/api/v1/items/./7",
        "/api/v1/items//7",
        "/api/v1/items/..",
    ],
)
def test_other_paths_find_none(path):
    assert route_for(path) is None
