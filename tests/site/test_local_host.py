"""In development other local hostnames redirect to the one of cookies and callbacks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

Make = Callable[..., Flask]


@pytest.mark.parametrize("name", ["127.0.0.1", "[::1]", "0.0.0.0", "app.localhost"])  # noqa: S104
def test_another_local_hostname_redirects_to_app_url(make_app: Make, name: str) -> None:
    browser = make_app(SAAS_ENV="development", JOBS_URL="").test_client()

    response = browser.get("/pricing?interval=yearly", base_url=f"http://{name}:5000")

    assert response.status_code == 302
    assert response.headers["Location"] == "http://localhost:5000/pricing?interval=yearly"
    assert browser.get("/pricing", base_url="http://localhost:5000").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("GET", "/healthz", "127.0.0.1:5000"),
        ("GET", "/readyz", "127.0.0.1:5000"),
        ("POST", "/api/webhooks/stripe", "127.0.0.1:5000"),
        ("GET", "/pricing", "127.0.0.1:8080"),  # a proxy in front sends the name of its upstream
        ("GET", "/pricing", "127.0.0.1:none"),
        ("GET", "/pricing", "192.0.2.7:5000"),
    ],
)
def test_other_requests_and_other_hosts_are_not_redirected(
    make_app: Make, method: str, path: str, host: str
) -> None:
    browser = make_app(SAAS_ENV="development", JOBS_URL="").test_client()

    response = browser.open(path, method=method, headers={"Host": host})

    assert "Location" not in response.headers


def test_outside_of_development_nothing_is_redirected(make_app: Make) -> None:
    response = make_app().test_client().get("/pricing", base_url="http://127.0.0.1:5000")

    assert response.status_code == 200
