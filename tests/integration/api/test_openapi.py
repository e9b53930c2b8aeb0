"""The description of REST: complete, current, and the same each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litestar.routes import HTTPRoute

from harness.api import Place
from quix.api.app import create
from quix.api.openapi import document
from quix.api.problems import Problem

STORED = Path(__file__).parents[3] / "docs" / "openapi.json"

ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in json.loads(document())["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_the_stored_description_is_current() -> None:
    assert STORED.read_bytes() == document(), "run: python -m quix.api.openapi > docs/openapi.json"


def test_another_process_prints_the_same() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-m", "quix.api.openapi"], capture_output=True, env=environment, check=True
    )
    assert printed.stdout == document()


async def test_the_server_hands_out_the_description(there: Place) -> None:
    answer = await there.web.get("/api/v1/openapi.json")
    assert answer.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    assert answer.content == document()
    assert answer.json()["openapi"] == "3.1.0"


async def test_every_route_is_described(there: Place) -> None:
    routes = [route for route in create(there.control).routes if isinstance(route, HTTPRoute)]
    served = {(method, route.path_format) for route in routes for method in route.methods if method != "OPTIONS"}
    undescribed = {("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/api/v1/openapi.json")}
    undescribed |= {("GET", route.path_format) for route in routes if not route.path.startswith("/api/")}
    assert {(method, path) for method, path, _ in operations()} == served - undescribed


def test_every_operation_has_a_name_of_its_own_and_a_description() -> None:
    found = [operation for _, _, operation in operations()]
    assert len({operation["operationId"] for operation in found}) == len(found)
    tags = {tag["name"] for tag in json.loads(document())["tags"]}
    for operation in found:
        assert operation["operationId"].isalnum()
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= tags


def test_every_parameter_is_described_and_can_be_sent() -> None:
    for _, path, operation in operations():
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (path, parameter["name"])
            # What is left out is not null: no query and no header has a null.
            assert "null" not in json.dumps(parameter["schema"]), (path, parameter["name"])


def test_bodies_are_described_as_they_are_checked() -> None:
    schemas = json.loads(document())["components"]["schemas"]
    for _, _, operation in operations():
        if "requestBody" in operation:
            name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[name]["additionalProperties"] is False, name
    assert schemas["RunLimits"]["properties"]["cpu"]["exclusiveMinimum"] == 0
    assert schemas["Command"]["properties"]["env"]["propertyNames"]["pattern"]
    assert schemas["NewUser"]["properties"]["password"] == {"type": "string", "minLength": 8, "maxLength": 1024}
    assert (schemas["UserChange"]["minProperties"], schemas["UserChange"]["maxProperties"]) == (1, 1)
    point = schemas["TelemetryHistory"]["properties"]["series"]["additionalProperties"]["items"]
    assert point == {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}}


def test_an_answer_without_content_has_none() -> None:
    for _, path, operation in operations():
        assert not operation["responses"].get("204", {}).get("content"), path


def test_every_error_has_the_one_shape_and_names_its_reasons() -> None:
    by_status: dict[int, set[str]] = {}
    for problem in Problem:
        by_status.setdefault(problem.status, set()).add(f"`{problem}`")
    for _, _, operation in operations():
        errors = {status: each for status, each in operation["responses"].items() if int(status) >= 400}
        for status, each in errors.items():
            assert each["content"] == ERROR
            assert any(reason in each["description"] for reason in by_status[int(status)])
        takes_body = "requestBody" in operation
        assert takes_body == ("413" in errors)
        assert ("400" in errors) or not (takes_body or operation.get("parameters"))
        assert {"500", "503"} <= set(errors)


def test_every_operation_but_the_login_wants_a_bearer() -> None:
    for _, path, operation in operations():
        assert operation.get("security", []) == ([] if path.startswith("/api/v1/login") else [{"bearer": []}])
        assert "401" in operation["responses"]
    scheme = json.loads(document())["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_every_reference_leads_somewhere() -> None:
    whole = json.loads(document())
    used = set(references(whole))
    assert used == {f"#/components/schemas/{name}" for name in whole["components"]["schemas"]}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
