"""A shop served by real processes, which can be killed, with a proxy in front of Stripe."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import psutil
import requests
from aiosmtpd.controller import Controller
from saas_sandbox import create_sandbox
from saas_sandbox.store import Store

from saas import create_app
from saas.auth.models import User
from saas.billing.operator import provisioning
from saas.config import ROOT
from tests.harness import crashing_app, stripe_account
from tests.harness.apps import PRODUCT, SECRET, close, settings
from tests.harness.clients import start_session
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop
from tests.harness.stripe_proxy import StripeProxy
from tests.harness.waiting import eventually

WORKERS, THREADS = 2, 10


class SMTPInbox:
    """An SMTP server that records the Message-ID of every copy that it receives."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, str, str]] = []  # recipient, Message-ID, subject

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content)
        message = str(mail["Message-ID"]), str(mail["Subject"])
        self.copies += [(recipient, *message) for recipient in envelope.rcpt_tos]
        return "250 accepted"

    def to(self, recipient: str, about: str = "") -> list[str]:
        """Return the Message-IDs of emails to this recipient, with these words in the subject."""
        mine = [copy for copy in self.copies if copy[0] == recipient]
        return [message_id for _, message_id, subject in mine if about in subject]


class LiveShop(Shop):
    """A shop behind gunicorn with two processes of ten threads.

    `app` is the same application in this process, on the same database: for queries, and for work
    of other processes, such as periodic tasks.
    """

    def __init__(
        self, product: str, env: dict[str, str], sandbox: str, store: Store, proxy: StripeProxy,
        inbox: SMTPInbox,
    ) -> None:  # fmt: skip
        super().__init__(
            create_app(settings(product, **{**env, "SANDBOX_URL": sandbox}), PRODUCT),
            env["APP_URL"], sandbox, env["SANDBOX_STRIPE_API_KEY"],
        )  # fmt: skip
        self.app_behind_proxy = create_app(settings(product, **env), PRODUCT)
        self.product, self.env, self.proxy, self.inbox = product, env, proxy, inbox
        self.sandbox_store = store
        self.master: psutil.Popen

    def start(self) -> None:
        """Start the server; earlier requests are refused."""
        values = {"SAAS_ENV": "test", "SECRET_KEY": SECRET, "JOBS_URL": "inline:"}
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        env = {name: value for name, value in os.environ.items() if name in kept}
        self.master = psutil.Popen(
            [
                sys.executable, "-W", "error", "-m", "gunicorn",
                "tests.harness.crashing_app:make()", "--threads", str(THREADS),
                "--log-level", "critical",
            ],
            cwd=ROOT,
            env={
                **env,
                "BIND": f"127.0.0.1:{self.url.rpartition(':')[2]}",
                "WEB_CONCURRENCY": str(WORKERS),
                crashing_app.PRODUCT_VARIABLE: self.product,
                crashing_app.SETTINGS_VARIABLE: json.dumps({**values, **self.env}),
            },
        )  # fmt: skip
        eventually(self._is_listening, seconds=60)

    def _is_listening(self) -> bool:
        assert self.master.poll() is None, "the server did not start"
        try:
            return requests.get(f"{self.url}/healthz", timeout=10).ok
        except requests.ConnectionError:
            return False

    def workers(self) -> list[psutil.Process]:
        return list(self.master.children())

    def kill(self) -> None:
        """Kill all processes at once with SIGKILL, as a power failure does."""
        everybody = [self.master, *self.workers()]
        for process in everybody:
            _kill(process)
        self.master.wait()
        psutil.wait_procs(everybody)

    def enable_events(self, enabled: bool) -> None:
        """Let Stripe deliver events to us, or leave that to the test."""
        at_stripe = stripe_account.client(self).v1
        (endpoint,) = at_stripe.webhook_endpoints.list().data
        events: Any = ["*"] if enabled else ["product.deleted"]
        at_stripe.webhook_endpoints.update(endpoint.id, {"enabled_events": events})

    def post(self, path: str, die_at: int, **options: Any) -> requests.Response | None:
        """Send a POST during which the server may be killed; return None if it was."""
        return self.ask("POST", path, die_at, **options)

    def ask(
        self, method: str, path: str, die_at: int, browser: Any = requests, **options: Any
    ) -> requests.Response | None:
        options.setdefault("headers", {})["X-Die-At"] = str(die_at)
        try:
            response: requests.Response = browser.request(
                method, f"{self.url}{path}", timeout=30, allow_redirects=False, **options
            )
        except requests.ConnectionError:
            return None
        return response

    def signed_in(self, user: User) -> tuple[requests.Session, dict[str, str]]:
        """Return a browser in which this user is signed in, and the CSRF header of a script."""
        name, value, token = start_session(self.app, user)
        browser = requests.Session()
        browser.cookies.set(name, value)
        return browser, {"X-CSRFToken": token}


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


def kill_a_worker(shop: LiveShop, which: int) -> None:
    """Kill one of the workers with SIGKILL; gunicorn starts another."""
    workers = shop.workers()
    if workers:
        _kill(workers[which % len(workers)])


@contextmanager
def open_live_shop(database_url: str, folder: Path, product: str = PRODUCT) -> Iterator[LiveShop]:
    """Yield a live shop on a migrated database, with its own sandbox, proxy and inbox."""
    sandbox_app = create_sandbox(str(folder / "sandbox.db"))
    proxy, inbox = StripeProxy(sandbox_app), SMTPInbox()
    mail = Controller(inbox, hostname="127.0.0.1", port=free_port())
    mail.start()
    try:
        with serving(sandbox_app) as sandbox, serving(proxy) as proxied:
            env = {
                "DATABASE_URL": database_url,
                "SANDBOX_URL": proxied,
                "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
                "APP_URL": f"http://localhost:{free_port()}",
                "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
                "TRUSTED_PROXIES": "1",
            }
            env |= _set_up({**env, "SANDBOX_URL": sandbox}, product)
            store = sandbox_app.extensions["sandbox"].store
            shop = LiveShop(product, env, sandbox, store, proxy, inbox)
            shop.start()
            try:
                shop.enable_events(False)
                yield shop
            finally:
                shop.kill()  # faster than SIGTERM, and its state is not needed
                close(shop.app)
                close(shop.app_behind_proxy)
    finally:
        mail.stop()
        sandbox_app.extensions["sandbox"].close()


def _set_up(env: dict[str, str], product: str) -> dict[str, str]:
    bare = create_app(settings(product, **env), PRODUCT)
    with bare.app_context():
        variables = provisioning.set_up(prefix="SANDBOX_")
    close(bare)
    return variables


def deliver_event(
    shop: LiveShop, subject: dict[str, Any], *, id: str,
    kind: str = "customer.subscription.updated", die_at: int = 0, fail_at: int = 0,
    previous_attributes: dict[str, Any] | None = None,
) -> requests.Response | None:  # fmt: skip
    """Deliver an event as Stripe would; return None if the server was killed."""
    payload, headers = stripe_account.signed_event(
        shop, kind, subject, id=id, previous_attributes=previous_attributes
    )
    headers["X-Fail-At"] = str(fail_at)
    return shop.post("/api/webhooks/stripe", die_at, data=payload, headers=headers)
