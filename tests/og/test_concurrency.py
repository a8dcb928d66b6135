"""Concurrent cards, incomplete cards, and checks with tools other than Pillow."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest
from flask import Flask

from saas.og import links, schemas
from saas.og.card import Card
from saas.og.render.fonts import Library
from saas.og.render.renderer import RenderedCard, Renderer
from saas.og.templates import Parts, Template, page
from tests.harness.servers import serving
from tests.og.pictures import LOGO, PLINTH
from tests.og.texts import HEADINGS

CROWD = 50


def test_other_pages_respond_while_fifty_cards_are_drawn(
    app: Flask, register: Callable[[Template], Template]
) -> None:
    started, finish = threading.Semaphore(0), threading.Event()

    @register
    def slow(card: Card) -> Parts:
        started.release()
        finish.wait(30)
        return page(card)

    with app.test_request_context():
        base = len(app.config["APP_URL"])
        paths = [
            links.card_url(f"Card {number}", template="slow")[base:] for number in range(CROWD)
        ]

    with serving(app) as url, ThreadPoolExecutor(CROWD) as pool:
        cards = [pool.submit(_status, url + path) for path in paths]
        for _ in paths:
            assert started.acquire(timeout=30)
        others = [_status(url + path) for path in ("/healthz", "/", "/pricing")]
        finish.set()

        assert others == [200, 200, 200]
        assert {card.result() for card in cards} == {200}


def test_cards_drawn_concurrently_equal_those_drawn_sequentially(renderer: Renderer) -> None:
    cards = [
        Card(f"Card {number} of many", mode=("light", "dark")[number % 2]) for number in range(40)
    ]

    # In a new process, in which no glyph has been drawn before.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        drawn = process.submit(_draw_at_once, cards).result()

    assert drawn == [renderer.print(card) for card in cards]


def _draw_at_once(cards: list[Card]) -> list[RenderedCard]:
    renderer = Renderer(PLINTH, "plinth.example", LOGO, Library(()))
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(renderer.print, cards))


def test_an_incomplete_card_is_not_cached(app: Flask) -> None:
    client = app.test_client()
    unknown = "\U00030001"  # of CJK extension G, which no packaged font has

    for response in (client.get(f"/api/og?heading=Hello+{unknown}") for _ in range(2)):
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert "ETag" not in response.headers


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_pngcheck_accepts_the_cards(mode: str, noto_renderer: Renderer, tmp_path: Path) -> None:
    if not shutil.which("pngcheck"):
        pytest.skip("pngcheck is not installed")
    for name, heading in HEADINGS.items():
        (tmp_path / f"{name}.png").write_bytes(noto_renderer.print(Card(heading, "Blog", mode)).png)

    output = _run("pngcheck", "-q", *map(str, tmp_path.iterdir()))

    assert (output.returncode, output.stdout + output.stderr) == (0, "")


@pytest.mark.parametrize(
    "signature", ["", "0" * 22, "0" * 21, "x" * 10_000, "é", "\u2028", "%00", "' OR 1=1"]
)
def test_a_forged_signature_is_invalid_and_causes_no_error(signature: str, app: Flask) -> None:
    with app.test_request_context():
        assert not links.is_signed(Card("Hello"), signature)


@pytest.mark.parametrize(
    "end", [" cut", "\u200d🚀", "🏴\U000e0067\U000e0062\U000e007f", "🇩🇪", "e\u0301"]
)
@pytest.mark.parametrize("before", range(195, 201))
def test_a_title_cut_at_any_character_keeps_its_signature(
    before: int, end: str, app: Flask
) -> None:
    with app.test_request_context():
        query_string = urlsplit(links.card_url("é" * before + end)).query
        query = {name: values[0] for name, values in parse_qs(query_string).items()}

        assert links.is_signed(schemas.read(query), query["sig"])


def _status(url: str) -> int:
    with urlopen(url, timeout=60) as response:  # noqa: S310 - our own server on loopback
        response.read()
        return int(response.status)


def _run(*command: str) -> Any:
    return subprocess.run(command, capture_output=True, text=True, check=False)
