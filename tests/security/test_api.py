"""API responses match `openapi.yaml`, whatever is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.harness.clients import routes
from tests.harness.shop import Shop

LISTED = schemathesis.openapi.from_path(str(Path(__file__).with_name("openapi.yaml")))
OPERATIONS = [found.ok() for found in LISTED.get_all_operations()]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
thorough = settings(
    max_examples=40, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def test_every_json_route_is_documented(app: Flask) -> None:
    there = {name for name, rule in routes(app) if rule.rule.startswith("/api/")}

    missing = there - {f"{item.method.upper()} {item.path}" for item in OPERATIONS}

    assert missing == set(), "Describe these routes in tests/security/openapi.yaml."


@pytest.mark.parametrize("who", ["anonymous", "user"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_api_responses_match_the_document(operation: Any, who: str, shop: Shop) -> None:
    visitor = shop.visitor()
    if who == "user":
        visitor.sign_in("ann@example.com")

    @thorough
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        response = case.call(base_url=shop.url, session=visitor.browser, timeout=30)
        case.validate_response(response, checks=CHECKS)

    ask()
    assert requests.get(f"{shop.url}/healthz", timeout=10).ok
