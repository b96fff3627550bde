"""`/api/docs`: the OpenAPI document as a page one can read, search with the browser and print. Made once, then kept."""

from collections.abc import Awaitable, Callable
from typing import Any

from commonry.gateway.pages.paper import page_reply
from commonry.kit.asgi import Reply, Scope

Json = dict[str, Any]


class Reference:
    """The page over a document that becomes known later."""

    def __init__(self, joined: Callable[[], Awaitable[Json]]) -> None:
        self._joined = joined
        self._made: Reply | None = None

    async def __call__(self, _: Scope) -> Reply:
        """The page. Raises `Unavailable` as long as there is no document."""
        if self._made is None:
            document = await self._joined()
            self._made = page_reply(
                "reference.html", info=document["info"], groups=_groups(document), objects=_objects(document)
            )
        return self._made


def _groups(document: Json) -> list[Json]:
    """Operations by tag, each with its fields flattened for a table."""
    groups: dict[str, list[Json]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = (operation.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_operation(path, method, operation, document))
    return [{"tag": tag, "operations": operations} for tag, operations in groups.items()]


def _objects(document: Json) -> list[Json]:
    """Every named schema, for the calls above to point at."""
    schemas = sorted(document["components"]["schemas"].items())
    return [{"name": name} | _content("", {"schema": schema}, document) for name, schema in schemas]


def _operation(path: str, method: str, operation: Json, document: Json) -> Json:
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "words": operation.get("description", ""),
        "signed_in": bool(operation.get("security")),
        "parameters": [_parameter(p) for p in operation.get("parameters", [])],
        "bodies": [_content(m, c, document) for m, c in operation.get("requestBody", {}).get("content", {}).items()],
        "answers": [
            {"status": status, "words": answer["description"], "content": _first(answer, document)}
            for status, answer in operation["responses"].items()
            if "$ref" not in answer
        ],
        "problems": [
            status for status, answer in operation["responses"].items() if "$ref" in answer and status != "default"
        ],
    }


def _parameter(told: Json) -> Json:
    return {
        "name": told["name"],
        "where": told["in"],
        "required": told.get("required", False),
        "words": told.get("description", ""),
        **_type(told["schema"]),
    }


def _first(answer: Json, document: Json) -> Json | None:
    return next((_content(media, content, document) for media, content in answer.get("content", {}).items()), None)


def _content(media: str, content: Json, document: Json) -> Json:
    """A body: its type, and a row for each field of the object it is."""
    schema = content["schema"]
    whole = _resolved(schema, document)
    required = whole.get("required", [])
    fields = [
        {"name": name, "required": name in required, "words": field.get("description", ""), **_type(field)}
        for name, field in whole.get("properties", {}).items()
    ]
    return {"media": media, "words": whole.get("description", ""), "fields": fields, **_type(schema)}


def _type(schema: Json) -> Json:
    """A type in words, and the object to look up for more."""
    inner = [schema, schema.get("items", {}), *schema.get("anyOf", [])]
    see = next((s["$ref"].rsplit("/", 1)[-1] for s in inner if "$ref" in s), None)
    return {"type": shown_type(schema), "see": see}


def _resolved(schema: Json, document: Json) -> Json:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return document["components"]["schemas"].get(name, schema)


def shown_type(schema: Json) -> str:
    """A schema in a few words: `list of Item`, `integer 1 … 100`, `text or null`."""
    if reference := schema.get("$ref"):
        return reference.rsplit("/", 1)[-1]
    if options := schema.get("anyOf"):
        return " or ".join(map(shown_type, options))
    if values := schema.get("enum"):
        return " | ".join(map(str, values))
    if schema.get("type") == "array":
        return f"list of {shown_type(schema.get('items', {}))}"
    return " ".join(filter(None, [schema.get("format") or schema.get("type", "anything"), _limits(schema)]))


def _limits(schema: Json) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    return (
        ""
        if least is None and most is None
        else f"{'' if least is None else least} … {'' if most is None else most}".strip()
    )
