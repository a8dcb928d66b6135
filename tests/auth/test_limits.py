"""Rate limits are counted in Redis or in the database, and request headers do not evade them."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from saas.database import db
from saas.limits import RateLimit
from tests.harness.clients import csrf_token_for
from tests.harness.servers import free_port
from tests.harness.waiting import eventually


def ask(client: FlaskClient, email: str, **options: Any) -> TestResponse:
    data = {"email": email, "csrf_token": csrf_token_for(client)}
    return client.post("/login", data=data, **options)


def until_refused(app: Flask, email: str = "ann@example.com") -> TestResponse:
    """Request emails until the limit, and return the refusal."""
    client = app.test_client()
    for _ in range(5):
        assert ask(client, email).status_code == 303
    return ask(client, email)


def counted_in_database(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(RateLimit)) or 0


def is_up(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0


def test_all_processes_count_in_redis(make_app: Callable[..., Flask], redis: str) -> None:
    eventually(lambda: is_up(redis))
    one, other = make_app(REDIS_URL=redis), make_app(REDIS_URL=redis)

    refused = until_refused(one)

    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 15 * 60
    assert "Too many requests" in refused.text
    assert ask(other.test_client(), "ann@example.com").status_code == 429
    assert ask(other.test_client(), "bob@example.com").status_code == 303
    assert counted_in_database(one) == 0


def test_the_database_counts_while_redis_is_unreachable(make_app: Callable[..., Flask]) -> None:
    app = make_app(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")

    refused = until_refused(app)

    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert counted_in_database(app) > 0


def test_a_hanging_redis_delays_one_request_only(make_app: Callable[..., Flask]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # accepts connections, never answers
        url = f"redis://127.0.0.1:{hanging.getsockname()[1]}/0"
        client = make_app(REDIS_URL=url, JOBS_URL=url).test_client()

        assert ask(client, "ann@example.com").status_code == 303
        assert connections(hanging) > 0
        statuses = [ask(client, f"ann{number}@example.com").status_code for number in range(3)]

        assert statuses == [303, 303, 303]
        assert connections(hanging) == 0


def connections(server: socket.socket) -> int:
    """Return how many connections wait to be accepted."""
    server.settimeout(0.2)
    for count in itertools.count():
        try:
            server.accept()[0].close()
        except TimeoutError:
            return count
    raise AssertionError


@pytest.mark.parametrize(("proxies", "last"), [("0", 429), ("1", 303)])
def test_a_forwarded_ip_counts_only_behind_a_trusted_proxy(
    proxies: str, last: int, make_app: Callable[..., Flask]
) -> None:
    client = make_app(TRUSTED_PROXIES=proxies).test_client()

    responses = [
        ask(client, f"a{item}@example.com", headers={"X-Forwarded-For": f"10.0.0.{item}"})
        for item in range(31)
    ]

    assert responses[-1].status_code == last


def test_ips_that_a_client_prepends_to_the_forwarded_header_are_ignored(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app(TRUSTED_PROXIES="1").test_client()

    responses = [
        ask(client, f"a{item}@example.com", headers={"X-Forwarded-For": f"10.0.0.{item}, 1.2.3.4"})
        for item in range(31)
    ]

    assert responses[-1].status_code == 429


@pytest.mark.parametrize(
    ("ip", "last"),
    [
        ("2001:db8:1:2:{0:x}::{0:x}", 429),  # one household's /64
        ("2001:db8:1:{0:x}::1", 303),
        ("::ffff:10.0.0.{0}", 303),  # IPv4, as a dual-stack socket reports it
        ("10.0.0.{0}:1234", 303),  # as some proxies spell it
    ],
)
def test_an_ipv6_network_counts_as_one_client(
    ip: str, last: int, make_app: Callable[..., Flask]
) -> None:
    client = make_app(TRUSTED_PROXIES="1").test_client()

    responses = [
        ask(client, f"a{n}@example.com", headers={"X-Forwarded-For": ip.format(n + 1)})
        for n in range(31)
    ]

    assert responses[-1].status_code == last
