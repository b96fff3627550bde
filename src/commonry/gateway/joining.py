"""Several services' OpenAPI parts become one document. Pure: parts in, document out.

A schema that two services describe alike is kept once; one that they describe differently gets its service's name in
front. Errors are the same everywhere, so they are said once here: every one is a `Problem`.
"""

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
SCHEMAS = "#/components/schemas/"

PROBLEM: Json = {
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 has it. `type` ends in a word that never changes; see /problems.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["/problems/item-taken"]},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "retry_after": {"type": "integer", "minimum": 0, "description": "Seconds until trying again makes sense."},
        "errors": {
            "description": "Every mistake in the request (422).",
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "message": {"type": "string"}},
                "required": ["at", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
WORDS = {
    "401": "Not signed in, or the token is no longer valid.",
    "403": "Signed in, but this is not yours to do.",
    "404": "Nothing here, or nothing you may know of.",
    "409": "The present state of things forbids it.",
    "413": "The body is too large.",
    "415": "The body is of a type this address does not take.",
    "422": "The request has mistakes; `errors` lists all of them.",
    "default": "Any other problem, such as 429 or 503 with Retry-After.",
}
RETRY_AFTER: Json = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}


def join(parts: Mapping[str, Json], info: Json, own: Json) -> Json:
    """One document of all services' parts and the gateway's own paths."""
    schemas: Json = {"Problem": PROBLEM}
    paths: Json = {}
    for service, part in parts.items():
        renamed = _added(schemas, service, part.get("components", {}).get("schemas", {}))
        for path, item in part["paths"].items():
            operations = {method: _completed(path, method, o) for method, o in item.items()}
            paths.setdefault(path, {}).update(_referring(operations, renamed))
    return {
        "openapi": "3.1.0",
        "info": info,
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in _tags(paths)],
        "paths": paths | own,
        "components": {
            "schemas": schemas,
            "responses": {_name(status): _problem(text) for status, text in WORDS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "From POST /api/v1/auth/login."}
            },
        },
    }


def _added(schemas: Json, service: str, more: Json) -> dict[str, str]:
    """Put a service's schemas to the others; old name → new name of those that had to be renamed."""
    clashing = {name for name, schema in more.items() if name in schemas and schemas[name] != schema}
    renamed = {name: f"{service.capitalize()}{name}" for name in clashing}
    schemas |= {renamed.get(name, name): _referring(schema, renamed) for name, schema in more.items()}
    return renamed


def _referring(thing: Json, renamed: dict[str, str]) -> Json:
    """A copy whose references use the new names."""
    text = json.dumps(thing)
    for old, new in renamed.items():
        text = text.replace(f'"{SCHEMAS}{old}"', f'"{SCHEMAS}{new}"')
    return json.loads(text)


def _completed(path: str, method: str, operation: Json) -> Json:
    """An operation with the problems it may answer."""
    statuses = {
        "401": "security" in operation,
        "403": "security" in operation,
        "404": "{" in path,
        "409": method != "get",
        "413": "requestBody" in operation,
        "415": "requestBody" in operation,
        "422": "requestBody" in operation or "parameters" in operation,
        "default": True,
    }
    problems = {s: {"$ref": f"#/components/responses/{_name(s)}"} for s, happens in statuses.items() if happens}
    return operation | {"responses": operation["responses"] | problems}


def _name(status: str) -> str:
    return "Problem" if status == "default" else f"Problem{status}"


def _problem(text: str) -> Json:
    content = {"application/problem+json": {"schema": {"$ref": f"{SCHEMAS}Problem"}}}
    return {"description": text, "content": content, "headers": {"Retry-After": RETRY_AFTER}}


def _tags(paths: Json) -> list[str]:
    return list(dict.fromkeys(t for item in paths.values() for o in item.values() for t in o.get("tags", [])))
