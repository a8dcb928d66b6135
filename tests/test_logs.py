"""Logs: one line per record, and no secrets."""

from __future__ import annotations

import json
import logging
import time

import pytest
from flask import Flask

from saas.logs import JSONFormatter, without_secrets


def test_a_record_is_one_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("saas", logging.ERROR, "", 0, "it\nbroke %s", ("a\rb",), caught)

    line = JSONFormatter().format(record)

    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == "it\nbroke a\rb"
    assert "ValueError" in json.loads(line)["trace"]


@pytest.mark.parametrize(
    "url",
    [
        "/auth//link/c2VjcmV0",
        "/AUTH/link/c2VjcmV0",
        "/auth/%6cink/c2VjcmV0",
        "/%61uth%2Flin%256B/c2VjcmV0",
        "/auth/oauth/google/callback?%63ode=c2VjcmV0",
        "/auth/oauth/google/callback?code=a%26c2VjcmV0%20c2VjcmV0",
        "/login?next=%2Fauth%2Flink%2Fc2VjcmV0",
        "/login?next=%252Fauth%252Femail%252Fundo%252Fc2VjcmV0",
        "/auth/oauth/google/callback?a=1;code=c2VjcmV0",
        "/login?next=%2Fauth%2Foauth%2Fgoogle%2Fcallback%3Fstate%3Dc2VjcmV0",
    ],
)
def test_no_spelling_of_a_url_writes_a_secret_to_the_log(url: str) -> None:
    assert "c2VjcmV0" not in without_secrets(f'"GET {url} HTTP/1.1" 200')


def test_the_development_server_does_not_log_sign_in_links(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "werkzeug"):
        logging.getLogger("werkzeug").info('"GET /auth/link/%s HTTP/1.1" 200 -', "c2VjcmV0")

    assert caplog.messages == ['"GET /auth/link/… HTTP/1.1" 200 -']


def test_an_unreachable_queue_is_reported_once_a_minute(app: Flask) -> None:
    (handler,) = logging.getLogger("saas").handlers
    now = time.time()

    reported = [
        bool(handler.filter(logging.makeLogRecord({"msg": message, "created": now + seconds})))
        for message in ("Error reading from the queue of this test", "another error")
        for seconds in (0, 1, 59, 61)
    ]

    assert reported == [True, False, False, True, True, True, True, True]
