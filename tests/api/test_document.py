"""The OpenAPI document describes the API."""

from __future__ import annotations

from flask import Flask


def test_the_document_has_the_described_views_and_their_schemas(app: Flask) -> None:
    document = app.test_client().get("/api/openapi.json").json

    assert document is not None
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == "Acme"
    show = document["paths"]["/api/user"]["get"]
    assert show["security"] == [{"token": ["user:read"]}]
    response = show["responses"]["200"]["content"]["application/json"]["schema"]
    assert response == {"$ref": "#/components/schemas/UserAnswer"}
    user = document["components"]["schemas"]["User"]["properties"]
    assert {"email", "name", "subscription"} <= user.keys()
    write = document["paths"]["/api/reports"]["post"]
    body = write["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Report"}
    assert list(write["responses"]) == ["201", "default"]
    assert "Error" in document["components"]["schemas"]
