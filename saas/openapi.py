"""The OpenAPI document of the JSON API, generated from views and their schemas.

`@describe(...)` adds a view to the document, which is served at `/api/openapi.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from marshmallow import Schema, fields

View = TypeVar("View", bound=Callable[..., Any])

_PARAMETER = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_TYPES = {"int": {"type": "integer"}, "uuid": {"type": "string", "format": "uuid"}}


class _ProblemSchema(Schema):
    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(), values=fields.List(fields.String()), data_key="fields"
    )


class ErrorSchema(Schema):
    """The shape of all errors (saas/errors.py)."""

    error = fields.Nested(_ProblemSchema, required=True)


@dataclass(frozen=True)
class Operation:
    """The description of a view in the document."""

    summary: str
    response: type[Schema]
    body: type[Schema] | None
    status: int


def describe(
    summary: str,
    *,
    response: type[Schema],
    body: type[Schema] | None = None,
    status: int = 200,
) -> Callable[[View], View]:
    """Add a view under /api to the document: summary, body and response."""

    def mark(view: View) -> View:
        view.openapi = Operation(summary, response, body, status)  # type: ignore[attr-defined]
        return view

    return mark


def document(app: Flask, title: str, url: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of all described views."""
    spec = APISpec(
        title=title,
        version="1",
        openapi_version="3.1.0",
        plugins=[MarshmallowPlugin(schema_name_resolver=_name)],
        servers=[{"url": url}],
    )
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        operation = getattr(view, "openapi", None)
        if operation is not None:
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            spec.path(
                _PARAMETER.sub(r"{\2}", rule.rule),
                operations={method.lower(): _operation(view, operation) for method in methods},
                parameters=[_parameter(*match) for match in _PARAMETER.findall(rule.rule)],
            )
    return spec.to_dict()


def _operation(view: Any, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {
            str(operation.status): {"description": "Success", **_json(operation.response)},
            "default": {"description": "Error", **_json(ErrorSchema)},
        },
    }
    if scope := getattr(view, "required_scope", None):
        described["security"] = [{"token": [scope]}]
    if operation.body is not None:
        described["requestBody"] = {"required": True, **_json(operation.body)}
    return described


def _json(schema: type[Schema]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _parameter(converter: str, name: str) -> dict[str, Any]:
    schema = _TYPES.get(converter, {"type": "string"})
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _name(schema: Any) -> str:
    schema_class = schema if isinstance(schema, type) else type(schema)
    return str(schema_class.__name__).strip("_").removesuffix("Schema")
