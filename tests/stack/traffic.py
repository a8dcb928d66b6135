"""Traffic of visitors, users and Stripe against the stack, with a record of every response."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tests.harness import stripe_account
from tests.harness.clients import start_session
from tests.stack.stack import Stack

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class FromAddress(HTTPAdapter):
    """Connect from an address such as 127.0.0.7, so that each client has its own limits."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


@dataclass
class Response:
    """A response of the stack; status 0 means that there was none."""

    kind: str
    status: int
    at: float  # time.monotonic() when it was sent
    seconds: float
    reason: str = ""  # why there was no response

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 400


@dataclass
class Traffic:
    """Constant traffic in threads. `responses` grows while it runs."""

    stack: Stack
    rate: float = 4.0  # requests a second of each kind
    responses: list[Response] = field(default_factory=list)
    promised: set[str] = field(default_factory=set)  # addresses that were promised an email
    accepted: set[str] = field(default_factory=set)  # events answered with 200

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()
        self._subscribers = [
            stripe_account.subscriber(self.stack.shop, f"sub{number}@example.com")
            for number in range(5)
        ]
        user, _ = self._subscribers[0]
        name, value, _ = start_session(self.stack.shop.app, user)
        self._cookie = {"Cookie": f"{name}={value}"}

    def start(self) -> None:
        """Start sending."""
        for kind, send in (
            ("public", self._visit_public),
            ("dashboard", self._visit_dashboard),
            ("sign-in", self._request_email),
            ("webhook", self._deliver_event),
        ):
            thread = threading.Thread(target=self._repeat, args=(kind, send), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Stop sending, and wait for the last responses."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def since(self, at: float) -> list[Response]:
        return [response for response in list(self.responses) if response.at >= at]

    def is_well(self) -> bool:
        """Return whether the last two seconds had only good responses of each kind."""
        last = self.since(time.monotonic() - 2.5)
        kinds = {response.kind for response in last}
        return len(kinds) == 4 and all(response.is_good for response in last)

    def _repeat(self, kind: str, send: Callable[[requests.Session], int]) -> None:
        """Send at the rate; a late response delays none of the following ones."""
        while not self._stop.wait(1 / self.rate):
            thread = threading.Thread(target=self._once, args=(kind, send), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _once(self, kind: str, send: Callable[[requests.Session], int]) -> None:
        at, reason = time.monotonic(), ""
        try:
            with requests.Session() as session:
                session.mount("https://", FromAddress(f"127.0.{next(self._numbers) % 250}.9"))
                session.trust_env = False  # REQUESTS_CA_BUNDLE would come before our certificate
                session.verify = str(self.stack.certificate)
                status = send(session)
        except requests.RequestException as error:
            status, reason = 0, str(error)
        self.responses.append(Response(kind, status, at, time.monotonic() - at, reason))

    def _visit_public(self, session: requests.Session) -> int:
        return session.get(f"{self.stack.url}/pricing", timeout=60).status_code

    def _visit_dashboard(self, session: requests.Session) -> int:
        url = f"{self.stack.url}/dashboard"
        return session.get(url, headers=self._cookie, timeout=60, allow_redirects=False).status_code

    def _request_email(self, session: requests.Session) -> int:
        email = f"{uuid.uuid4().hex}@example.com"
        page = session.get(f"{self.stack.url}/login", timeout=60)
        token = _TOKEN.search(page.text)
        if token is None:
            return page.status_code
        response = session.post(
            f"{self.stack.url}/login", timeout=60, allow_redirects=False,
            data={"email": email, "csrf_token": token[1]}, headers={"Referer": self.stack.url},
        )  # fmt: skip
        if response.status_code == 303:
            self.promised.add(email)
        return response.status_code

    def _deliver_event(self, session: requests.Session) -> int:
        number = next(self._numbers)
        user, subscription = self._subscribers[number % len(self._subscribers)]
        payload, headers = stripe_account.subscription_event(self.stack.shop, user, subscription)
        response = session.post(
            f"{self.stack.url}/api/webhooks/stripe", data=payload, headers=headers, timeout=60
        )
        if response.status_code == 200:
            self.accepted.add(json.loads(payload)["id"])
        return response.status_code


def summary(responses: list[Response]) -> str:
    """Describe responses: `200 x 31, 503 x 4; at most 1.2 s`."""
    counts = Counter(response.status or "none" for response in responses)
    parts = [f"{status} x {count}" for status, count in sorted(counts.items(), key=str)]
    reasons = {response.reason for response in responses if response.reason}
    longest = max((response.seconds for response in responses), default=0.0)
    why = f" ({min(reasons)})" if reasons else ""
    return f"{', '.join(parts)}{why}; at most {longest:.1f} s"
