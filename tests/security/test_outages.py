"""Database, disk and mail server hang, refuse or fill up: responses stay fast, and it recovers."""

from __future__ import annotations

import resource
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from sqlalchemy import make_url

from saas import create_app
from saas.database import db
from saas.mail import outbox
from tests.harness import postgres
from tests.harness.apps import PRODUCT, close, settings
from tests.harness.clients import client_for, csrf_token_for
from tests.harness.live_shop import LiveShop, deliver_event, open_live_shop
from tests.harness.servers import free_port
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

WE_ANSWER_WITHIN = 10.0  # seconds; documented, so it may be asserted


class TcpProxy:
    """A TCP proxy in front of a server, which can hang or refuse connections."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.flows = threading.Event()
        self.flows.set()
        self.refuses = False
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                caller.close()
                continue
            server = socket.create_connection(self.target)
            self.open += [caller, server]
            for pair in ((caller, server), (server, caller)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while message := source.recv(65536):
                self.flows.wait()
                target.sendall(message)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        self.refuses = True
        self._close_connections()

    def _close_connections(self) -> None:
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.open.clear()

    def close(self) -> None:
        self.flows.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        self._close_connections()


@pytest.fixture(scope="module")
def tcp_proxy(postgres_server: str) -> Iterator[TcpProxy]:
    parts = urlsplit(postgres_server)
    tcp_proxy = TcpProxy((parts.hostname or "127.0.0.1", parts.port or 5432))
    yield tcp_proxy
    tcp_proxy.close()


@pytest.fixture(scope="module")
def on_postgres(
    tcp_proxy: TcpProxy,
    postgres_server: str,
    migrated_postgres: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LiveShop]:
    """A shop of real processes that reaches its database through the proxy."""
    with postgres.database(postgres_server, migrated_postgres) as url:
        through = make_url(url).set(host="127.0.0.1", port=tcp_proxy.port)
        address = through.render_as_string(hide_password=False)
        with open_live_shop(address, tmp_path_factory.mktemp("live")) as shop:
            yield shop


@pytest.fixture(scope="module")
def on_sqlite(
    migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveShop]:
    folder = tmp_path_factory.mktemp("live")
    shutil.copy(migrated_sqlite, folder / "app.db")
    with open_live_shop(f"sqlite:///{folder / 'app.db'}", folder) as shop:
        yield shop


def request_email(visitor: Visitor, email: str) -> tuple[requests.Response, float]:
    """Request a sign-in email; return the response and the seconds that it took."""
    token = visitor.visit("/login").form("/login").fields["csrf_token"]
    started_at = time.monotonic()
    response = visitor.request("POST", "/login", data={"email": email, "csrf_token": token})
    return response, time.monotonic() - started_at


def check_readiness(visitor: Visitor) -> tuple[requests.Response, float]:
    started_at = time.monotonic()
    response = visitor.request("GET", "/readyz")
    return response, time.monotonic() - started_at


@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_an_unreachable_database_is_503_in_time_until_it_recovers(
    fault: str, tcp_proxy: TcpProxy, on_postgres: LiveShop
) -> None:
    visitor = on_postgres.visitor()
    assert request_email(visitor, f"before-{fault}@example.com")[0].status_code == 303

    tcp_proxy.flows.clear() if fault == "hangs" else tcp_proxy.cut()
    try:
        response, seconds = request_email(visitor, f"meanwhile-{fault}@example.com")
        ready, ready_seconds = check_readiness(visitor)
        public = visitor.request("GET", "/pricing")
        webhook, message = deliver_unknown_event(on_postgres, fault)
    finally:
        tcp_proxy.refuses = False
        tcp_proxy.flows.set()

    assert (response.status_code, ready.status_code, public.status_code) == (503, 503, 200)
    assert webhook.status_code == 503  # so Stripe retries
    assert max(seconds, ready_seconds, message) < WE_ANSWER_WITHIN
    assert "temporarily unavailable" in response.text
    assert request_email(visitor, f"after-{fault}@example.com")[0].status_code == 303
    assert check_readiness(visitor)[0].status_code == 200
    assert deliver_unknown_event(on_postgres, fault)[0].status_code == 200


@pytest.mark.postgres
def test_a_hanging_database_stalls_no_public_page(
    tcp_proxy: TcpProxy, on_postgres: LiveShop
) -> None:
    """Sixteen threads, and more requests that wait for the database than that."""
    url = on_postgres.env["APP_URL"]

    def ask(path: str) -> tuple[int, float]:
        started_at = time.monotonic()
        response = requests.get(f"{url}{path}", timeout=30)
        return response.status_code, time.monotonic() - started_at

    tcp_proxy.flows.clear()
    try:
        with ThreadPoolExecutor(60) as pool:
            stuck = [pool.submit(ask, "/readyz") for _ in range(50)]
            time.sleep(3)  # the first ones have noticed
            public = [ask(path) for path in ("/", "/healthz", "/pricing") * 5]
            answers = [future.result() for future in stuck]
    finally:
        tcp_proxy.flows.set()

    assert {status for status, _ in answers} == {503}
    assert {status for status, _ in public} == {200}
    # Each would wait for the database's timeout of seven seconds behind the others.
    assert max(seconds for _, seconds in public) < 5
    eventually(lambda: ask("/readyz")[0] == 200)


def deliver_unknown_event(shop: LiveShop, fault: str) -> tuple[requests.Response, float]:
    """Deliver an event about an unknown customer."""
    subject = {"id": "sub_of_nobody", "object": "subscription", "customer": "cus_of_nobody"}
    started_at = time.monotonic()
    response = deliver_event(shop, subject, id=f"evt_while_database_{fault}")
    assert response is not None
    return response, time.monotonic() - started_at


def test_a_locked_database_is_503_in_time(on_sqlite: LiveShop) -> None:
    visitor = on_sqlite.visitor()
    somebody = sqlite3.connect(database_file(on_sqlite))
    somebody.execute("BEGIN IMMEDIATE")

    response, seconds = request_email(visitor, "locked@example.com")
    somebody.rollback()
    somebody.close()

    assert response.status_code == 503
    assert seconds < WE_ANSWER_WITHIN
    assert request_email(visitor, "unlocked@example.com")[0].status_code == 303


def test_a_database_without_free_connections_is_503(database_url: str, sandbox: str) -> None:
    value = settings(DATABASE_URL=database_url, SANDBOX_URL=sandbox)
    value["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}
    app = create_app(value, PRODUCT)
    client = client_for(app, "user")
    with app.app_context():
        taken = db.engine.connect()

    response = client.get("/dashboard")
    taken.close()

    assert response.status_code == 503
    assert client.get("/dashboard").status_code == 200
    close(app)


def database_file(shop: LiveShop) -> Path:
    return Path(shop.env["DATABASE_URL"].removeprefix("sqlite:///"))


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_full_disk_is_503_and_leaves_the_database_intact(on_sqlite: LiveShop) -> None:
    visitor = on_sqlite.visitor()
    assert request_email(visitor, "before-full@example.com")[0].status_code == 303

    with full_disk(on_sqlite):
        response, _ = request_email(visitor, "meanwhile-full@example.com")
        page = visitor.request("GET", "/pricing")
        ready, _ = check_readiness(visitor)

    assert response.status_code == 503
    assert ready.status_code == 503
    assert page.status_code == 200
    assert request_email(visitor, "after-full@example.com")[0].status_code == 303
    database = sqlite3.connect(database_file(on_sqlite))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    mails = database.execute(
        "SELECT count(*) FROM sign_in_links WHERE email LIKE 'meanwhile-full%'"
    )
    assert mails.fetchone() == (0,)
    database.close()


@contextmanager
def full_disk(shop: LiveShop) -> Iterator[None]:
    """Let no file of the server grow within the block, as on a full disk. Works without root."""
    wal = database_file(shop).with_name("app.db-wal").stat().st_size
    before = {
        worker.pid: resource.prlimit(worker.pid, resource.RLIMIT_FSIZE) for worker in shop.workers()
    }
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (wal, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_mail_server_that_hangs_or_refuses_delays_no_request(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    """Emails are sent outside of the request, so the mail server does not delay pages."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for number, port in enumerate((silent.getsockname()[1], free_port())):
            app = make_app(
                SMTP_URL=f"smtp://127.0.0.1:{port}", JOBS_URL=f"sqlite:///{tmp_path}/jobs.db"
            )
            app.config["MAIL_TIMEOUT"] = 0.2
            client = app.test_client()
            token = csrf_token_for(client)
            started_at = time.monotonic()

            response = client.post(
                "/login", data={"email": f"ann{number}@example.com", "csrf_token": token}
            )

            assert response.status_code == 303
            assert time.monotonic() - started_at < WE_ANSWER_WITHIN
            with app.app_context():
                assert outbox.deliver_due().failed  # and delivery is retried later
