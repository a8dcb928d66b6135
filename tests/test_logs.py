"""Logs: one line a record, and no secret in any."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask

from saas.logs import JSONFormatter


def test_a_record_is_one_line_of_json_whatever_it_says() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = logging.LogRecord("saas", logging.ERROR, "", 0, "it\nbroke %s", ("a\rb",), caught)

    line = JSONFormatter().format(record)

    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == "it\nbroke a\rb"
    assert "ValueError" in json.loads(line)["trace"]


def test_the_development_server_does_not_log_sign_in_links(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "werkzeug"):
        logging.getLogger("werkzeug").info('"GET /auth/link/%s HTTP/1.1" 200 -', "c2VjcmV0")

    assert caplog.messages == ['"GET /auth/link/… HTTP/1.1" 200 -']
