"""Errors are reported to Sentry, without personal data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest
import sentry_sdk
from flask import Flask
from flask_login import login_user
from pytest_httpserver import HTTPServer

from saas.auth import accounts
from saas.config import ConfigError


@pytest.fixture
def sentry(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    httpserver.expect_request("/api/7/envelope/", method="POST").respond_with_json({})
    yield httpserver
    sentry_sdk.get_client().close()
    # The defaults would patch Huey for the rest of this process.
    sentry_sdk.init(dsn="", default_integrations=False, auto_enabling_integrations=False)


def events(server: HTTPServer) -> list[dict[str, Any]]:
    """Return the events that arrived, as in https://develop.sentry.dev/sdk/data-model/envelopes/."""
    sentry_sdk.flush(timeout=10)
    lines = [
        json.loads(line)
        for request, _ in server.log
        for line in brotli.decompress(request.get_data()).splitlines()
    ]
    return [line for line in lines if "level" in line]


def test_an_error_is_reported_without_personal_data(
    make_app: Callable[..., Flask], sentry: HTTPServer
) -> None:
    app = make_app(SENTRY_DSN=sentry.url_for("/7").replace("http://", "http://key@"))

    @app.get("/broken/<secret>")
    def broken(secret: str) -> str:
        login_user(accounts.get_or_create("ann@example.com"))
        password = f"hunter2 {secret}"
        raise RuntimeError("ann@example.com failed at /auth/link/abc", len(password))

    response = app.test_client().get("/broken/token?code=123", headers={"Cookie": f"a={'x' * 12}"})

    assert response.status_code == 500
    (event,) = events(sentry)
    with app.app_context():
        ann = accounts.get_by_email("ann@example.com")
    assert event["environment"] == "test"
    assert event["user"] == {"id": str(ann.id)}
    assert event["tags"]["request_id"] == response.headers["X-Request-Id"]
    assert event["exception"]["values"][0]["type"] == "RuntimeError"
    sent = json.dumps(event)
    for secret in ("ann@example.com", "hunter2 token", "link/abc", "code=123", "x" * 12):
        assert secret not in sent, secret


def test_without_a_dsn_nothing_is_sent(make_app: Callable[..., Flask], sentry: HTTPServer) -> None:
    app = make_app()
    app.logger.error("not sent")

    assert events(sentry) == []


@pytest.mark.parametrize("dsn", ["sentry", "https://o1.ingest.sentry.io/2", "https://key@host"])
def test_a_wrong_dsn_is_explained(make_app: Callable[..., Flask], dsn: str) -> None:
    with pytest.raises(ConfigError, match="SENTRY_DSN: must be a DSN from Sentry"):
        make_app(SENTRY_DSN=dsn)
