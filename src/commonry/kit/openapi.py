"""A service's own OpenAPI 3.1 paths and schemas, read from its handlers.

The types that decode a request and encode an answer also make its schema (msgspec's), so document and behaviour
cannot differ. Errors are left out: they are the same everywhere, and whoever joins the services' documents adds them
once.
"""

import types
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Union, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from commonry.kit.idempotency import Key

REFERENCE = "#/components/schemas/{name}"
RESERVED = {"request", "scope", "state", "headers", "cookies", "query", "socket", "body", "data"}
LIMITS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS")
JSON = "application/json"
LONG = 500

Json = dict[str, Any]


def document(app: Litestar) -> Json:
    """Paths and component schemas of the handlers that are not hidden with `include_in_schema=False`."""
    found = list(_operations(app))
    kinds = list(dict.fromkeys(k for _, _, h in found for kind in _kinds(h) for k in _alternatives(kind)))
    made, components = msgspec.json.schema_components([k for k in kinds if _describable(k)], ref_template=REFERENCE)
    components = _short({"schemas": components})["schemas"]
    schemas = dict(zip((k for k in kinds if _describable(k)), made, strict=True))
    paths: Json = {}
    for route, method, handler in found:
        paths.setdefault(route.path_format, {})[method.lower()] = _operation(route, handler, schemas)
    return {"paths": paths, "components": {"schemas": components}}


def _short(schema: Any) -> Any:
    """Without patterns that list hundreds of words, as of currencies: nobody can read them, the description says it."""
    if isinstance(schema, dict):
        known: Json = schema  # pyright: ignore[reportUnknownVariableType]
        return {k: _short(v) for k, v in known.items() if k != "pattern" or len(str(v)) < LONG}
    return [_short(v) for v in schema] if isinstance(schema, list) else schema  # pyright: ignore[reportUnknownVariableType]


def _operations(app: Litestar) -> Iterator[tuple[HTTPRoute, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in sorted(route.route_handler_map.items(), key=_reading_order):
                if method != "OPTIONS" and handler.resolve_include_in_schema():
                    yield route, method, handler


def _reading_order(entry: tuple[str, Any]) -> int:
    return METHODS.index(entry[0])


def _operation(route: HTTPRoute, handler: HTTPRouteHandler, schemas: Json) -> Json:
    told = {
        "tags": sorted(handler.resolve_tags()),
        "summary": handler.summary or handler.fn.__name__.replace("_", " ").capitalize(),
        "description": handler.description or handler.fn.__doc__,
        "operationId": handler.operation_id or handler.fn.__name__,
        "parameters": list(_parameters(route, handler)),
        "requestBody": _request_body(handler, schemas),
        "responses": {str(handler.status_code): _response(handler, schemas)} | _further(handler, schemas),
        "security": handler.resolve_security(),
    }
    return {name: value for name, value in told.items() if value}


def _parameters(route: HTTPRoute, handler: HTTPRouteHandler) -> Iterator[Json]:
    for name, field in _asked(handler.parsed_fn_signature, handler.resolve_dependencies()).items():
        if name in route.path_parameters:
            yield {"name": name, "in": "path", "required": True, "schema": _bare_schema(field.annotation)}
        else:
            yield _parameter(name, field)
    if any(_is_key(name, field) for name, field in handler.parsed_fn_signature.parameters.items()):
        text = "Any unique text: the same key and body give the same answer, however often they are sent."
        yield _in_header("Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255}, text)


def _is_key(name: str, field: Any) -> bool:
    return name == "once" or Key in _alternatives(field.annotation)


def _asked(signature: Any, dependencies: Json) -> Json:
    """What a handler, or a dependency of its own, wants from the path, the query or the headers."""
    asked: Json = {}
    for name, field in signature.parameters.items():
        if name in dependencies:
            asked |= _asked(dependencies[name].parsed_fn_signature, dependencies)
        elif name not in RESERVED:
            asked[name] = field
    return asked


def _parameter(name: str, field: Any) -> Json:
    told = field.kwarg_definition
    schema = _bare_schema(field.annotation)
    if told:
        limits = {word: getattr(told, attribute) for word, attribute in LIMITS.items()}
        schema |= {word: limit for word, limit in limits.items() if limit is not None}
    if field.has_default and field.default is not None:
        schema["default"] = msgspec.to_builtins(field.default)
    described: Json = {"description": told.description} if told and told.description else {}
    if told and told.header:
        return {"name": told.header, "in": "header", "required": field.is_required, "schema": schema} | described
    shown = (told and told.query) or name
    return {"name": shown, "in": "query", "required": field.is_required, "schema": schema} | described


def _in_header(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": text}


def _bare_schema(kind: Any) -> Json:
    """The schema of a parameter, which is there or not, never null."""
    present = [k for k in get_args(kind) if k is not types.NoneType] if _is_union(kind) else [kind]
    if present == [datetime]:  # msgspec would say `format` only of a type that insists on an offset, as our handlers do
        return {"type": "string", "format": "date-time"}
    schema: Json = msgspec.json.schema(present[0] if len(present) == 1 else Union[tuple(present)])  # noqa: UP007
    return schema


def _request_body(handler: HTTPRouteHandler, schemas: Json) -> Json | None:
    """From `data`; a handler that reads the body itself tells with an `operation_class`."""
    told: Any = handler.operation_class()
    if hasattr(told, "__post_init__"):  # a plain subclass's is not run by the constructor it inherits
        told.__post_init__()
    if told.request_body:
        return told.request_body.to_schema()
    kind = _sent(handler)
    if kind is None:
        return None
    return {"required": types.NoneType not in get_args(kind), "content": {JSON: {"schema": _schema(kind, schemas)}}}


def _response(handler: HTTPRouteHandler, schemas: Json) -> Json:
    kind = _answered(handler)
    name = getattr(kind, "__doc__", None) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
    told: Json = {"description": (name or "Done.").split("\n")[0]}
    if kind is None or handler.status_code == 204:
        return told
    media = handler.media_type.value if isinstance(handler.media_type, MediaType) else str(handler.media_type or JSON)
    schema = _schema(kind, schemas) if media == JSON else {"type": "string"}
    return told | {"content": {media: {"schema": schema}}}


def _further(handler: HTTPRouteHandler, schemas: Json) -> Json:
    """Other good answers, as the handler's `responses=` tells them."""
    return {
        str(status): {
            "description": spec.description,
            "content": {JSON: {"schema": _schema(spec.data_container, schemas)}},
        }
        for status, spec in _specs(handler).items()
    }


def _schema(kind: Any, schemas: Json) -> Json:
    known: list[Json] = [schemas.get(k, {}) for k in _alternatives(kind)]
    return known[0] if len(known) == 1 else {"anyOf": known}


def _kinds(handler: HTTPRouteHandler) -> list[Any]:
    """All types that a handler takes in or gives out."""
    return [_sent(handler), _answered(handler), *(spec.data_container for spec in _specs(handler).values())]


def _specs(handler: HTTPRouteHandler) -> Mapping[int, Any]:
    return handler.responses or {}


def _sent(handler: HTTPRouteHandler) -> Any:
    return handler.parsed_data_field.annotation if handler.parsed_data_field else None


def _answered(handler: HTTPRouteHandler) -> Any:
    kind = handler.parsed_return_field.annotation
    while isinstance(origin := get_origin(kind), type) and issubclass(origin, Response):
        kind = get_args(kind)[0]
    return None if kind is types.NoneType else kind


def _alternatives(kind: Any) -> list[Any]:
    """Of a union of structs each one by itself: untagged, msgspec does not describe them together."""
    return list(get_args(kind)) if _is_union(kind) else [] if kind is None else [kind]


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _describable(kind: Any) -> bool:
    """What msgspec has a schema for; not streams, framework responses and the like."""
    try:
        msgspec.json.schema(kind)
    except TypeError:
        return False
    return True
