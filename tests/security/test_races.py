"""Concurrent requests to a server of two processes, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from saas.auth.models import Session, User
from saas.database import db
from tests.harness.apps import both_databases
from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.mailbox import code_in_mail, wrong
from tests.harness.visitor import Visitor

CROWD = 50


@pytest.fixture
def server(tmp_path: Path, database_url: str, sandbox: str) -> Iterator[GunicornServer]:
    with running_gunicorn(tmp_path, DATABASE_URL=database_url, SANDBOX_URL=sandbox) as running:
        yield running


def visitor(server: GunicornServer, sandbox: str) -> Visitor:
    return Visitor(server.url, sandbox)


@both_databases
def test_fifty_concurrent_submits_of_a_link_start_one_session(
    server: GunicornServer, sandbox: str, make_app: Callable[..., Flask]
) -> None:
    asking = visitor(server, sandbox)
    asking.visit("/login")
    asking.submit("/login", email="crowd@example.com")
    link = asking.link_from_email("crowd@example.com")
    crowd = [visitor(server, sandbox) for _ in range(CROWD)]
    for item in crowd:
        item.visit(link)

    with ThreadPoolExecutor(CROWD) as pool:
        pages = list(pool.map(lambda item: item.submit(urlsplit(link).path, follow=False), crowd))

    assert Counter(page.status for page in pages) == {303: 1, 410: CROWD - 1}
    with make_app().app_context():
        assert len(db.session.scalars(select(User.id)).all()) == 1
        assert len(db.session.scalars(select(Session.id)).all()) == 1
    for item in [asking, *crowd]:
        item.close()


@both_databases
def test_fifty_concurrent_guesses_count_as_five(server: GunicornServer, sandbox: str) -> None:
    guesser = visitor(server, sandbox)
    guesser.visit("/login")
    guesser.submit("/login", email="guessed@example.com")
    guesser.link_from_email("guessed@example.com")
    code = code_in_mail(guesser, "guessed@example.com")
    token = guesser.page.form("/auth/code").fields["csrf_token"]

    def guess(number: int) -> bool:
        data = {"code": f"{(int(wrong(code)) + number) % 1_000_000:06}", "csrf_token": token}
        return "not the code" in guesser.request("POST", "/auth/code", data=data).text

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(guess, range(20))) == 5
    guesser.close()
