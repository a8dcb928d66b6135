"""Tracebacks are shown in development, and only logged in production."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from flask import Flask

from saas.logs import ConsoleFormatter
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def broken() -> str:
    raise LookupError("no <shelf> 7")


@pytest.mark.parametrize("environment", ["development", "test"])
def test_a_failing_page_shows_its_traceback_in_development_only(
    environment: str, make_app: Callable[..., Flask]
) -> None:
    app = make_app(SAAS_ENV=environment, JOBS_URL="sqlite:///jobs.db")
    app.testing = False
    app.add_url_rule("/broken", view_func=broken)
    app.add_url_rule("/api/broken", "api_broken", broken)
    client = app.test_client()

    page = client.get("/broken")
    response = client.get("/api/broken")

    assert page.status_code == response.status_code == 500
    shown = environment == "development"
    assert ("LookupError: no &lt;shelf&gt; 7" in page.text) is shown
    assert ("test_development.py" in page.text) is shown
    assert page.headers["Cache-Control"] == "no-store"
    assert response.json == {
        "error": {"code": "internal_error", "message": "Something went wrong."}
    }


def test_only_the_sidebar_links_to_the_sandbox(shop: Shop, visitor: Visitor) -> None:
    sandbox = [shop.sandbox + path for path in ("/mail", "/stripe")]
    for path in ("/", "/pricing", "/terms"):
        assert not _links_to_the_sandbox(shop, visitor, path)

    visitor.sign_in("ann@example.com")

    assert _links_to_the_sandbox(shop, visitor, "/dashboard") == sandbox


def _links_to_the_sandbox(shop: Shop, visitor: Visitor, path: str) -> list[str]:
    return [link for link in visitor.visit(path).links if link.startswith(shop.sandbox)]


def test_lines_of_the_development_log_are_readable() -> None:
    record = logging.LogRecord("saas", logging.WARNING, "", 0, "event %s", ("handled",), None)
    record.outcome, record.event_type = "applied", "invoice.paid"

    line = ConsoleFormatter().format(record)

    assert line.endswith(" warning event handled  event_type=invoice.paid  outcome=applied")


def test_a_traceback_in_the_development_log_keeps_its_lines() -> None:
    try:
        broken()
    except LookupError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("saas", logging.ERROR, "", 0, "broken", (), caught)

    lines = ConsoleFormatter().format(record).splitlines()

    assert lines[0].endswith("error   broken")
    assert lines[-1] == "LookupError: no <shelf> 7"
