"""The joined OpenAPI document: valid, complete, and true to what is served."""

import json
import re

import jsonschema_rs
import pytest
import schemathesis

from commonry.gateway.document import OWN
from commonry.gateway.joining import join
from commonry.gateway.routes import route_for
from tests.gateway.conftest import ask, over

INFO = {"title": "t", "version": "1"}


def references(thing):
    if isinstance(thing, dict):
        if isinstance(thing.get("$ref"), str):
            yield thing["$ref"]
        for inner in thing.values():
            yield from references(inner)
    elif isinstance(thing, list):
        for inner in thing:
            yield from references(inner)


def operations(document):
    return [(path, method, o) for path, item in document["paths"].items() for method, o in item.items()]


def part(name, schema):
    operation = {"operationId": name, "summary": name, "responses": {"200": {"description": "x", "content": {}}}}
    operation["responses"]["200"]["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
    return {"paths": {f"/api/v1/{name}": {"get": operation}}, "components": {"schemas": {"Thing": schema}}}


@pytest.fixture
async def document(platform):
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{platform.url}/api/v1/openapi.json") as got:
        assert got.status == 200
        return json.loads(await got.text())


def test_schemas_that_agree_are_kept_once():
    joined = join({"users": part("a", {"type": "string"}), "payments": part("b", {"type": "string"})}, INFO, {})
    assert set(joined["components"]["schemas"]) == {"Problem", "Thing"}


def test_schemas_that_differ_are_told_apart_by_their_service():
    joined = join({"users": part("a", {"type": "string"}), "payments": part("b", {"type": "integer"})}, INFO, {})
    assert joined["components"]["schemas"]["Thing"] == {"type": "string"}
    assert joined["components"]["schemas"]["PaymentsThing"] == {"type": "integer"}
    assert next(references(joined["paths"]["/api/v1/b"])).endswith("/PaymentsThing")
    assert next(references(joined["paths"]["/api/v1/a"])).endswith("/Thing")


async def test_every_reference_leads_somewhere(document):
    kinds = document["components"]
    for reference in set(references(document)):
        _, _, kind, name = reference.split("/")
        assert name in kinds[kind], reference


async def test_schemas_are_json_schemas(document):
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema), name


async def test_other_tools_can_read_it(document):
    loaded = schemathesis.openapi.from_dict(document)
    assert len(list(loaded.get_all_operations())) == len(operations(document))
    for result in loaded.get_all_operations():
        result.ok()


async def test_operations_have_names_of_their_own(document):
    names = [o["operationId"] for _, _, o in operations(document)]
    assert len(names) == len(set(names))
    assert all(o["summary"] and o["tags"] for _, _, o in operations(document))


async def test_parameters_of_a_path_are_described(document):
    for path, _, operation in operations(document):
        described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert described == set(re.findall(r"{(\w+)}", path)), path


async def test_errors_are_problems_and_nothing_else(document):
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if not status.startswith(("2", "3")):
                assert answer["$ref"].startswith("#/components/responses/Problem"), (path, method, status)
        assert "400" not in operation["responses"]
        assert "default" in operation["responses"]


async def test_whoever_must_sign_in_is_told_of_401(document):
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    signed_in = [o for _, _, o in operations(document) if "security" in o]
    assert signed_in
    assert all("401" in o["responses"] and o["security"] == [{"bearer": []}] for o in signed_in)


async def test_bodies_that_refuse_unknown_fields_say_so(document):
    assert document["components"]["schemas"]["NewItem"]["additionalProperties"] is False


async def test_nothing_internal_is_told(document):
    assert not [path for path in document["paths"] if "internal" in path]


async def test_every_described_path_is_routed(document):
    for path in document["paths"]:
        if path not in OWN:
            assert route_for(re.sub(r"{\w+}", "0190a", path)), path


async def test_every_described_path_is_routed_to_the_service_that_describes_it(platform):
    """No service's path is taken by another's prefix: none of them answers `not-found` for want of a route."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with session.get(f"{platform.url}/api/v1/openapi.json") as got:
            paths = json.loads(await got.text())["paths"]
        for path in paths:
            whole = platform.url + re.sub(r"{\w+}", "01900000-0000-7000-8000-000000000000", path)
            async with session.request("PROPFIND", whole) as got:
                assert got.status == 405, path
                described = {method.upper() for method in paths[path]}
                assert described <= set(got.headers["allow"].split(", ")), path


async def test_there_is_no_document_as_long_as_a_service_is_away():
    async with over() as app:  # echoes describe nothing
        got = await ask(app, "GET", "/api/v1/openapi.json")
    assert got.status >= 500
