"""Every page that can be shared has its own card."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from html import unescape

import pytest
from flask import Flask
from PIL import Image
from werkzeug.exceptions import TooManyRequests

from saas import limits

PAGES = ["/", "/pricing", "/privacy", "/terms", "/login", "/register"]


@pytest.mark.parametrize("path", PAGES)
def test_the_metadata_of_a_page_describes_its_card(path: str, app: Flask) -> None:
    message = _shared(app, path)

    assert message["og:image:width"] == "1200"
    assert message["og:image:height"] == "630"
    assert message["og:image:alt"] == message["og:title"] != ""
    assert message["twitter:card"] == "summary_large_image"


@pytest.mark.parametrize("path", PAGES)
def test_the_card_of_a_page_is_exempt_from_the_rate_limit(path: str, app: Flask) -> None:
    with app.app_context(), suppress(TooManyRequests):
        while True:
            limits.CARDS_BY_IP.hit("127.0.0.1")
    address = _shared(app, path)["og:image"].removeprefix(app.config["APP_URL"])

    response = app.test_client().get(address)

    assert response.status_code == 200
    assert "immutable" in response.headers["Cache-Control"]
    assert Image.open(io.BytesIO(response.data)).size == (1200, 630)


def test_every_page_has_a_different_card(app: Flask) -> None:
    assert len({_shared(app, path)["og:image"] for path in PAGES}) == len(PAGES)


def _shared(app: Flask, path: str) -> dict[str, str]:
    page = app.test_client().get(path).text
    match = re.findall(r'<meta (?:property|name)="([\w:]+)" content="([^"]*)"', page)
    return {name: unescape(content) for name, content in match}
