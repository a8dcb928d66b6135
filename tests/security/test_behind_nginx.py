"""Production as deployed: gunicorn behind a real nginx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.harness.gunicorn_server import running_gunicorn
from tests.harness.nginx import nginx
from tests.harness.production import PRODUCTION

OWN = {"Host": "app.example.com"}


@pytest.fixture(scope="module")
def urls(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[dict[str, str]]:
    """The URLs of one application behind nginx, by https and by http."""
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "app.db").write_bytes(migrated_sqlite.read_bytes())
    (folder / "https").mkdir()
    (folder / "http").mkdir()
    env = {
        **PRODUCTION,
        "DATABASE_URL": f"sqlite:///{folder}/app.db",
        "JOBS_URL": f"sqlite:///{folder}/jobs.db",
        "APP_URL": "https://app.example.com",
    }
    tls = ("X-Forwarded-Proto $scheme", "X-Forwarded-Proto https")
    with (
        running_gunicorn(folder, **env) as server,
        nginx(folder / "https", server.url, tls) as https,
        nginx(folder / "http", server.url) as http,
    ):
        yield {"https": https, "http": http}


def test_http_redirects_to_https_except_for_health_checks_and_webhooks(
    urls: dict[str, str],
) -> None:
    page = requests.get(f"{urls['http']}/login", headers=OWN, allow_redirects=False, timeout=10)
    hook = requests.post(f"{urls['http']}/api/webhooks/stripe", headers=OWN, timeout=10)

    assert (page.status_code, page.headers["Location"]) == (308, "https://app.example.com/login")
    assert "Set-Cookie" not in page.headers
    assert hook.json()["error"]["code"] == "bad_signature"
    for path in ("/healthz", "/readyz"):
        for host in ("10.0.0.7:8080", "web-1", "APP.example.com."):
            response = requests.get(urls["http"] + path, headers={"Host": host}, timeout=10)
            assert response.status_code == 200, (path, host, response.text)


def ask_for_mail(url: str, email: str, **headers: str) -> int:
    """Submit the form of a page to which a proxy added `no-referrer`, and return the status."""
    page = requests.get(f"{url}/login", headers=OWN, timeout=10)
    cookie = page.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert "Secure" in cookie
    token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page.text)
    assert token
    response = requests.post(
        f"{url}/login",
        data={"email": email, "csrf_token": token[1]},
        headers={
            **OWN,
            "Cookie": cookie.partition(";")[0],
            "Origin": "null",
            "Sec-Fetch-Site": "same-origin",
            **headers,
        },
        allow_redirects=False,
        timeout=10,
    )
    return response.status_code


def test_forms_work_and_forged_ips_with_ports_count_as_one_client(
    urls: dict[str, str],
) -> None:
    statuses = [
        ask_for_mail(
            urls["https"], f"a{n}@example.com", **{"X-Forwarded-For": f"203.0.113.{n}:4000{n}"}
        )
        for n in range(31)
    ]

    assert statuses == [303] * 30 + [429]
