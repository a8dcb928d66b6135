"""The application for tests of crashes, served by gunicorn. It can be killed at a given step.

A step is anything with an effect outside of the process: a writing statement, a commit, a request
to another service, an SMTP command, the response. The events of SQLAlchemy and the audit hooks of
Python report the steps, so new ones are included automatically. Between two steps nothing has an
effect outside, so a crash just before each step covers all crashes.

`X-Die-At: 3` in a request kills the process (SIGKILL) just before the third step of that request;
with `X-Fail-At: 3` that step fails instead, as with a full disk or a lost connection. The response
lists the steps in `X-Steps`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import css_inline  # noqa: F401 - slow to import: once, and not after each crash
import stripe  # noqa: F401
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from saas import create_app, products
from saas.config import from_env

SETTINGS_VARIABLE, PRODUCT_VARIABLE = "SETTINGS_OF_THE_TEST", "PRODUCT_OF_THE_TEST"
_WRITES = re.compile(r'\s*(INSERT INTO|UPDATE|DELETE FROM)\s+"?(\w+)')
_REQUEST = re.compile(rb"(GET|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_ID = re.compile(r"/(cus|sub|cs_test|pi|in)_\w+")
_SMTP = re.compile(rb"(EHLO|MAIL|RCPT|DATA|QUIT)\b", re.IGNORECASE)


@dataclass
class Steps:
    """The steps of one request."""

    die_at: int
    fail_at: int
    passed: list[str] = field(default_factory=list)

    def step(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.passed) == self.fail_at:
            raise OperationalError(name, None, OSError("failed by a test"))


_steps: ContextVar[Steps | None] = ContextVar("steps", default=None)


def _step(name: str) -> None:
    if (steps := _steps.get()) is not None:
        steps.step(name)


def _step_outside(name: str) -> None:
    try:
        _step(name)
    except OperationalError as error:
        raise ConnectionResetError(str(error)) from None


@event.listens_for(Engine, "before_cursor_execute")
def _on_statement(connection: Any, _c: Any, statement: str, *_: Any) -> None:
    if match := _WRITES.match(statement):
        connection.info["wrote"] = True
        _step(f"{match[1].split()[0]} {match[2]}")


@event.listens_for(Engine, "commit")
def _on_commit(connection: Any) -> None:
    if connection.info.pop("wrote", False):
        _step("COMMIT")


@event.listens_for(Engine, "rollback")
def _on_rollback(connection: Any) -> None:
    connection.info.pop("wrote", None)


def _on_audit(name: str, arguments: tuple[Any, ...]) -> None:
    if name == "http.client.send" and (match := _REQUEST.match(bytes(arguments[1]))):
        path = _ID.sub(r"/<\1>", match[2].decode().partition("?")[0])
        _step_outside(f"{match[1].decode()} {path}")
    elif name == "smtplib.send":
        text = arguments[1] if isinstance(arguments[1], bytes) else arguments[1].encode()
        match = _SMTP.match(text)
        _step_outside(f"SMTP {match[1].decode().upper() if match else 'the mail'}")


class CrashingApp:
    """A WSGI application that counts the steps of each request."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        die_at, fail_at = (int(environ.get(f"HTTP_X_{name}_AT", "0")) for name in ("DIE", "FAIL"))
        steps = Steps(die_at, fail_at)
        token = _steps.set(steps)
        try:
            status, headers, body = self._respond(environ)
            steps.fail_at = 0
            steps.step("the response")
        finally:
            _steps.reset(token)
        headers += [("X-Steps", "; ".join(steps.passed)), ("X-Process", str(os.getpid()))]
        start_response(status, headers)
        return [body]

    def _respond(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        started: list[Any] = []
        written = self.app(environ, lambda status, headers, *_: started.extend((status, headers)))
        body = b"".join(written)
        if close := getattr(written, "close", None):
            close()
        return started[0], started[1], body


def make() -> CrashingApp:
    """Return the application for gunicorn: `tests.harness.crashing_app:make()`."""
    sys.addaudithook(_on_audit)
    product = products.load(os.environ[PRODUCT_VARIABLE])
    settings = from_env(json.loads(os.environ[SETTINGS_VARIABLE]), product)
    return CrashingApp(create_app(settings, product.import_name))
