"""A shop that is served by real processes, which can be killed, and a gate in front of Stripe."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import psutil
import requests
import stripe
from aiosmtpd.controller import Controller
from flask import session
from flask_wtf.csrf import generate_csrf
from saas_sandbox import create_sandbox
from saas_sandbox.store import Store

from saas import create_app
from saas.auth import sessions
from saas.auth.models import User
from saas.billing.operator import provisioning
from saas.config import ROOT
from tests import conftest
from tests.billing import crashing, stripe_side
from tests.conftest import Shop, free_port, serving
from tests.visitor import eventually

WORKERS, THREADS = 2, 10
Answer = Callable[[dict[str, Any], Any], Any]


class Gate:
    """The way to Stripe: counts the application's calls, and lets them through or does not."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.calls: list[str] = []
        self.instead: Answer | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/stripe/v1/"):
            self.calls.append(_call(environ))
            if self.instead:
                return self.instead(environ, start_response)
        return self.app(environ, start_response)

    @contextmanager
    def answering(self, instead: Answer) -> Iterator[None]:
        """Within this, every call is answered by `instead`."""
        self.instead = instead
        try:
            yield
        finally:
            self.instead = None

    @contextmanager
    def gathering(self, number: int) -> Iterator[None]:
        """Within this, the first so many calls are answered when all of them have arrived."""
        barrier, order = threading.Barrier(number), itertools.count(1)

        def gather(environ: dict[str, Any], start_response: Any) -> Any:
            if next(order) <= number:
                barrier.wait(20)
            return self.app(environ, start_response)

        with self.answering(gather):
            yield

    @contextmanager
    def holding(self, call: str = "") -> Iterator[threading.Event]:
        """Within this, calls arrive (which sets the event) and get their answers at its end.

        With `call`, as in "POST /v1/customers", only those.
        """
        arrived, released = threading.Event(), threading.Event()

        def hold(environ: dict[str, Any], start_response: Any) -> Any:
            if call in ("", _call(environ)):
                arrived.set()
                released.wait(30)
            return self.app(environ, start_response)

        with self.answering(hold):
            try:
                yield arrived
            finally:
                released.set()


def _call(environ: dict[str, Any]) -> str:
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/stripe')}"


class Postbox:
    """An SMTP server that remembers every copy it was handed, by Message-ID."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, str, str]] = []  # recipient, Message-ID, subject

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content)
        told = str(mail["Message-ID"]), str(mail["Subject"])
        self.copies += [(recipient, *told) for recipient in envelope.rcpt_tos]
        return "250 accepted"

    def to(self, recipient: str, about: str = "") -> list[str]:
        """The Message-IDs of what came for somebody, with these words in the subject."""
        mine = [copy for copy in self.copies if copy[0] == recipient]
        return [message_id for _, message_id, subject in mine if about in subject]


class LiveShop(Shop):
    """A shop behind gunicorn with two processes of ten threads.

    `app` is the same application in this process, on the same database, for looking and for what
    another process would do, such as the sweeps.
    """

    def __init__(
        self, env: dict[str, str], sandbox: str, store: Store, gate: Gate, postbox: Postbox
    ) -> None:
        super().__init__(
            create_app(conftest.settings(**{**env, "SANDBOX_URL": sandbox}), conftest.PRODUCT),
            env["APP_URL"], sandbox, env["SANDBOX_STRIPE_API_KEY"],
        )  # fmt: skip
        self.app_behind_the_gate = create_app(conftest.settings(**env), conftest.PRODUCT)
        self.env, self.gate, self.postbox, self.sandbox_store = env, gate, postbox, store
        self.master: psutil.Popen

    def start(self) -> None:
        """Start the server; requests that come before it listens are refused."""
        given = {"SAAS_ENV": "test", "SECRET_KEY": conftest.SECRET, "JOBS_URL": "inline:"}
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        env = {name: value for name, value in os.environ.items() if name in kept}
        self.master = psutil.Popen(
            [
                sys.executable, "-W", "error", "-m", "gunicorn", "tests.billing.crashing:make()",
                "--threads", str(THREADS), "--log-level", "critical",
            ],
            cwd=ROOT,
            env={
                **env,
                "BIND": f"127.0.0.1:{self.url.rpartition(':')[2]}",
                "WEB_CONCURRENCY": str(WORKERS),
                crashing.VARIABLE: json.dumps({**given, **self.env}),
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
        """SIGKILL to every process at once: what a power cut does."""
        everybody = [self.master, *self.workers()]
        for process in everybody:
            _kill(process)
        self.master.wait()
        psutil.wait_procs(everybody)

    def listen_to_stripe(self, hears: bool) -> None:
        """Whether Stripe delivers events to us by itself, or the test does."""
        at_stripe = stripe_side.client(self).v1
        (endpoint,) = at_stripe.webhook_endpoints.list().data
        events: Any = ["*"] if hears else ["product.deleted"]
        at_stripe.webhook_endpoints.update(endpoint.id, {"enabled_events": events})

    def post(self, path: str, die_at: int, **options: Any) -> requests.Response | None:
        """A POST in whose midst the server may die; None when it did."""
        return self.ask("POST", path, die_at, **options)

    def ask(
        self, method: str, path: str, die_at: int, browser: Any = requests, **options: Any
    ) -> requests.Response | None:
        options.setdefault("headers", {})["X-Die-At"] = str(die_at)
        try:
            answer: requests.Response = browser.request(
                method, f"{self.url}{path}", timeout=30, allow_redirects=False, **options
            )
        except requests.ConnectionError:
            return None
        return answer

    def signed_in(self, user: User) -> tuple[requests.Session, dict[str, str]]:
        """A browser with a session of this person, and the header that a script would send."""
        with self.app.test_request_context(self.url) as context:
            sessions.start(user)
            token = generate_csrf()
            answer = self.app.make_response("")
            self.app.session_interface.save_session(self.app, context.session, answer)
            assert session
        browser = requests.Session()
        name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
        browser.cookies.set(name, value)
        return browser, {"X-CSRFToken": token}


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


def kill_a_worker(shop: LiveShop, which: int) -> None:
    """SIGKILL to one of the workers; gunicorn starts another."""
    workers = shop.workers()
    if workers:
        _kill(workers[which % len(workers)])


@contextmanager
def open_live_shop(database_url: str, folder: Path) -> Iterator[LiveShop]:
    """A live shop on a migrated database, with a sandbox, a gate and a postbox of its own."""
    stand_in = create_sandbox(str(folder / "sandbox.db"))
    gate, postbox = Gate(stand_in), Postbox()
    mail = Controller(postbox, hostname="127.0.0.1", port=free_port())
    mail.start()
    try:
        with serving(stand_in) as sandbox, serving(gate) as gated:
            env = {
                "DATABASE_URL": database_url,
                "SANDBOX_URL": gated,
                "SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
                "APP_URL": f"http://localhost:{free_port()}",
                "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
                "TRUSTED_PROXIES": "1",
            }
            env |= _set_up({**env, "SANDBOX_URL": sandbox})
            store = stand_in.extensions["sandbox"].store
            shop = LiveShop(env, sandbox, store, gate, postbox)
            shop.start()
            try:
                shop.listen_to_stripe(False)
                yield shop
            finally:
                shop.kill()  # quicker than asking, and nobody needs what it holds
                conftest.close(shop.app)
                conftest.close(shop.app_behind_the_gate)
    finally:
        mail.stop()
        stand_in.extensions["sandbox"].close()


def _set_up(env: dict[str, str]) -> dict[str, str]:
    bare = create_app(conftest.settings(**env), conftest.PRODUCT)
    with bare.app_context():
        variables = provisioning.set_up(prefix="SANDBOX_")
    conftest.close(bare)
    return variables


def tell(
    shop: LiveShop, subject: dict[str, Any], *, id: str,
    kind: str = "customer.subscription.updated", die_at: int = 0, fail_at: int = 0,
    previous_attributes: dict[str, Any] | None = None,
) -> requests.Response | None:  # fmt: skip
    """Deliver an event as Stripe would; None when the server died over it."""
    body: dict[str, Any] = {
        "id": id, "object": "event", "type": kind, "created": int(time.time()),
        "livemode": False, "api_version": stripe.api_version, "data": {"object": subject},
    }  # fmt: skip
    if previous_attributes is not None:
        body["data"]["previous_attributes"] = previous_attributes
    payload = json.dumps(body)
    secret = shop.app.config["STRIPE_WEBHOOK_SECRETS"][0]
    signature = stripe.WebhookSignature.generate_signature_header(payload, secret)
    headers = {"Stripe-Signature": signature, "X-Fail-At": str(fail_at)}
    return shop.post("/api/webhooks/stripe", die_at, data=payload, headers=headers)
