"""Cards over HTTP: cached, signed, and never an error in place of an image."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from PIL import Image
from werkzeug.test import create_environ, run_wsgi_app

from saas.og import links, schemas
from saas.og.card import Card
from saas.og.card_cache import CardCache
from saas.og.links import card_url
from saas.og.templates import Parts, Template


def test_a_card_that_cannot_be_drawn_is_blank_and_not_cached(
    app: Flask, register: Callable[[Template], Template]
) -> None:
    @register
    def broken(card: Card) -> Parts:
        raise ZeroDivisionError

    response = app.test_client().get("/api/og?heading=Hello&template=broken")

    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.data)).size == (1200, 630)
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers


@pytest.mark.parametrize(
    "heading", ["Two  spaces\n", "x" * 900, "e\u0301", "Ünïcode & <b>", "日本"]
)
def test_cards_of_our_own_pages_are_signed_whatever_their_text(heading: str, app: Flask) -> None:
    with app.test_request_context():
        query = {name: values[0] for name, values in _query(card_url(heading)).items()}

        assert links.is_signed(schemas.read(query), query["sig"])


@pytest.mark.parametrize("name", ["heading", "type", "mode", "template", "line", "price"])
def test_a_signature_is_valid_for_one_card_only(name: str, app: Flask) -> None:
    with app.test_request_context():
        attributes = {name: values[0] for name, values in _query(card_url("Hello")).items()}
        other = {"mode": "dark", "template": "post"}.get(name, "other")

        assert not links.is_signed(schemas.read({**attributes, name: other}), attributes["sig"])


def test_a_signature_with_the_previous_secret_is_valid(make_app: Any) -> None:
    before = make_app(SECRET_KEY="the-secret-before-of-more-than-32-characters")
    with before.test_request_context():
        address = card_url("Hello")
    after = make_app(SECRET_KEY_FALLBACKS="the-secret-before-of-more-than-32-characters")
    with after.test_request_context():
        query = {name: values[0] for name, values in _query(address).items()}

        assert links.is_signed(schemas.read(query), query["sig"])


def test_cached_cards_use_limited_memory(app: Flask) -> None:
    cache = CardCache(app, max_bytes=60_000)
    cards = [Card(f"Card {number}") for number in range(20)]

    drawn = [cache.draw(card) for card in [*cards, *[cards[-1]] * 20]]

    kept = [card for card in map(cache.find, map(cache.tag, cards)) if card]
    assert 60_000 - max(len(card.png) for card in drawn) < sum(len(card.png) for card in kept)
    assert sum(len(card.png) for card in kept) <= 60_000
    assert kept[-1] == drawn[-1]
    assert not cache.find(cache.tag(cards[0]))


@pytest.mark.parametrize(
    "query",
    [
        "heading=Hello&heading=Bye&mode=dark&mode=light",
        "heading=%00%01Hi",
        "heading=%ff%fe",
        "heading=%ED%A0%80x",
        "heading=../../etc/passwd&type=http://localhost/",
        "heading=Plans&template=pricing&price=%2415&plan=Pro",
        "heading=Post&template=post&author=%F0%9F%9A%80",
    ],
)
def test_no_query_causes_a_server_error(query: str, app: Flask) -> None:
    response = app.test_client().get(f"/api/og?{query}")

    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.data)).size == (1200, 630)


def _query(address: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(address).query)


def test_other_sites_may_embed_cards(app: Flask) -> None:
    response = app.test_client().get("/api/og?heading=Hello")

    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_undecodable_bytes_are_400(app: Flask) -> None:
    """As gunicorn passes them: raw, not percent-encoded."""
    environ = create_environ("/api/og")
    environ["QUERY_STRING"] = "heading=\xff\xfe"

    _, status, _ = run_wsgi_app(app, environ)

    assert status.startswith("400")


def test_the_og_command_has_help(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["og", "--help"])

    assert result.exit_code == 0
    assert "render" in result.output
