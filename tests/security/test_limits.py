"""Rate limits count across processes and restarts."""

from __future__ import annotations

from pathlib import Path

from tests.harness.apps import both_databases
from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.visitor import Visitor


def asks(server: GunicornServer, email: str, **headers: str) -> int:
    """Request an email over a new connection, perhaps to another process; return the status."""
    visitor = Visitor(server.url)
    token = visitor.visit("/login").form("/login").fields["csrf_token"]
    data = {"email": email, "csrf_token": token}
    response = visitor.request("POST", "/login", data=data, headers=headers)
    visitor.close()
    if response.status_code == 429:
        assert 0 < int(response.headers["Retry-After"]) <= 15 * 60
    return response.status_code


@both_databases
def test_limits_hold_over_processes_and_restarts(
    tmp_path: Path, database_url: str, sandbox: str
) -> None:
    env = {"DATABASE_URL": database_url, "SANDBOX_URL": sandbox}
    with running_gunicorn(tmp_path, **env) as server:
        assert [asks(server, "ann@example.com") for _ in range(5)] == [303] * 5

    with running_gunicorn(tmp_path, **env) as server:
        assert asks(server, "ann@example.com") == 429
        assert asks(server, "bob@example.com") == 303


def test_behind_a_trusted_proxy_the_client_ip_is_the_one_that_it_added(
    tmp_path: Path, database_url: str, sandbox: str
) -> None:
    """IPs that a client sends are to the left of the proxy's entry, and are ignored."""
    env = {"DATABASE_URL": database_url, "SANDBOX_URL": sandbox, "TRUSTED_PROXIES": "1"}
    with running_gunicorn(tmp_path, **env) as server:
        forged = [
            asks(server, f"a{n}@example.com", **{"X-Forwarded-For": f"10.0.0.{n}, 203.0.113.9"})
            for n in range(31)
        ]
        neighbour = asks(server, "b@example.com", **{"X-Forwarded-For": "203.0.113.10"})

    assert forged == [303] * 30 + [429]
    assert neighbour == 303
