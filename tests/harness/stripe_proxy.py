"""A proxy between application and sandbox: counts, holds and changes calls to Stripe."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from flask import Flask
from saas_sandbox import create_sandbox

from tests.harness.servers import serving
from tests.harness.shop import Shop, open_shop

WSGIApp = Callable[[dict[str, Any], Any], Any]
Change = Callable[
    [Any, list[str]], Any
]  # takes a body and the expanded fields, returns the new body


class Held:
    """The requests that a proxy holds; `release` lets them continue."""

    def __init__(self, let_through: int) -> None:
        self.count = 0
        self._let_through = let_through
        self._arrived, self._released = threading.Event(), threading.Event()

    def wait(self, timeout: float) -> bool:
        """Wait until a request is held; return False on timeout."""
        return self._arrived.wait(timeout)

    def release(self) -> None:
        self._released.set()

    def hold(self) -> None:
        self.count += 1
        self._arrived.set()
        self._released.wait(60)

    def lets_through(self) -> bool:
        self._let_through -= 1
        return self._let_through >= 0


class StripeProxy:
    """A proxy to the sandbox. `calls` lists the requests to Stripe, as "GET /v1/subscriptions"."""

    def __init__(self, app: WSGIApp) -> None:
        self.app = app
        self.calls: list[str] = []
        self._instead: WSGIApp | None = None
        self._holding: WSGIApp | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        is_call = environ["PATH_INFO"].startswith("/stripe/v1/")
        if is_call:
            self.calls.append(call_of(environ))
        if self._holding:
            return self._holding(environ, start_response)
        if is_call and self._instead:
            return self._instead(environ, start_response)
        return self.app(environ, start_response)

    @contextmanager
    def answering(self, instead: WSGIApp) -> Iterator[None]:
        """Within the block, let `instead` respond to every call to Stripe."""
        self._instead = instead
        try:
            yield
        finally:
            self._instead = None

    @contextmanager
    def gathering(self, number: int) -> Iterator[None]:
        """Within the block, respond to the first `number` calls when all of them have arrived."""
        barrier, order = threading.Barrier(number), itertools.count(1)

        def gather(environ: dict[str, Any], start_response: Any) -> Any:
            if next(order) <= number:
                barrier.wait(20)
            return self.app(environ, start_response)

        with self.answering(gather):
            yield

    @contextmanager
    def holding(
        self, call: str = "", *, after: bool = False, let_through: int = 0
    ) -> Iterator[Held]:
        """Within the block, hold calls until its end.

        Args:
            call: such as "POST /v1/customers" or "POST /resend/emails"; by default every call to
                Stripe.
            after: let the sandbox do its work first, and hold its response.
            let_through: how many calls are not held.
        """
        held = Held(let_through)

        def hold(environ: dict[str, Any], start_response: Any) -> Any:
            is_wanted = call_of(environ) == call or (
                not call and environ["PATH_INFO"].startswith("/stripe/v1/")
            )
            if not is_wanted or held.lets_through():
                return self.app(environ, start_response)
            if not after:
                held.hold()
            response = self.app(environ, start_response)
            if after:
                held.hold()
            return response

        self._holding = hold
        try:
            yield held
        finally:
            held.release()
            self._holding = None


def call_of(environ: dict[str, Any]) -> str:
    """Return a request as method and path, such as "GET /v1/subscriptions"."""
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO'].removeprefix('/stripe')}"


def refusing(proxy: StripeProxy, call: str, status: int = 400, **error: str) -> WSGIApp:
    """Refuse one kind of call, such as "POST /v1/refunds", as Stripe refuses."""
    body = json.dumps({"error": {"type": "invalid_request_error", **error}}).encode()

    def respond(environ: dict[str, Any], start_response: Any) -> Any:
        if not call_of(environ).startswith(call):
            return proxy.app(environ, start_response)
        start_response(f"{status} Refused", [("Content-Type", "application/json")])
        return [body]

    return respond


def changing(proxy: StripeProxy, change: Change, call: str = "") -> WSGIApp:
    """Respond as Stripe does, with the body of one kind of call changed."""

    def respond(environ: dict[str, Any], start_response: Any) -> Any:
        started: list[Any] = []
        written = proxy.app(environ, lambda status, headers, *_: started.extend((status, headers)))
        body = b"".join(written)
        if call_of(environ).startswith(call) and started[0].startswith("200"):
            body = json.dumps(change(json.loads(body), _expanded(environ))).encode()
        kept = [pair for pair in started[1] if pair[0].lower() != "content-length"]
        start_response(started[0], [*kept, ("Content-Length", str(len(body)))])
        return [body]

    return respond


def recording(
    proxy: StripeProxy, call: str, sent: list[dict[str, list[str]]]
) -> AbstractContextManager[None]:
    """Within the block, append to `sent` the parameters of each call of one kind."""

    def record(environ: dict[str, Any], start_response: Any) -> Any:
        if call_of(environ) == call:
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            sent.append(parse_qs(body.decode()))
            environ["wsgi.input"] = BytesIO(body)
        return proxy.app(environ, start_response)

    return proxy.answering(record)


def _expanded(environ: dict[str, Any]) -> list[str]:
    """Return the last names of the expanded fields of a GET; bodies have already been read."""
    query = parse_qsl(environ["QUERY_STRING"])
    return [value.rpartition(".")[2] for name, value in query if name.startswith("expand")]


class ProxiedShop(Shop):
    """A shop whose application reaches Stripe through a proxy; the test itself does not."""

    proxy: StripeProxy


def open_proxied_shop(
    make_app: Callable[..., Flask], folder: Path, **changes: str
) -> Iterator[ProxiedShop]:
    """Open a shop with its own sandbox, and a proxy between the two."""
    sandbox_app = create_sandbox(str(folder / f"sandbox-{secrets.token_hex(4)}.db"))
    proxy = StripeProxy(sandbox_app)
    with serving(sandbox_app) as sandbox, serving(proxy) as proxied:
        for shop in open_shop(make_app, sandbox, SANDBOX_URL=proxied, **changes):
            proxied_shop = ProxiedShop(shop.app, shop.url, sandbox, shop.key)
            proxied_shop.proxy, proxied_shop.visitors = proxy, shop.visitors
            yield proxied_shop
    sandbox_app.extensions["sandbox"].close()
