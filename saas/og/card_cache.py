"""The cards of one application: its renderer, and the cards drawn last."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from threading import Lock
from urllib.parse import urlsplit

from cachetools import LRUCache
from flask import Flask, current_app

from saas.og.card import Card
from saas.og.render.fonts import Library
from saas.og.render.renderer import RenderedCard, Renderer
from saas.template_filters import static_file

MAX_BYTES = 16 * 1024 * 1024  # of finished cards that a process keeps


class CardCache:
    """Draws cards, and keeps the recently used ones up to a number of bytes."""

    def __init__(self, app: Flask, max_bytes: int = MAX_BYTES) -> None:
        library = Library.from_setting(app.config["OG_FONTS"])
        brand = app.config["BRAND"]
        site = urlsplit(app.config["APP_URL"]).netloc
        logo = static_file(app, "icons/logo.png")
        self._renderer = Renderer(brand, site, logo, library)
        surroundings = "\n".join((repr(brand), site, *library.names)).encode()
        self._surroundings = hashlib.sha256(surroundings + logo.read_bytes()).hexdigest()
        self._cards: LRUCache[str, RenderedCard] = LRUCache(max_bytes, _size)
        self._lock = Lock()

    def tag(self, card: Card) -> str:
        """Return the card's name for HTTP caches; it changes with version, brand and fonts."""
        return card.tag(self._surroundings)

    def find(self, tag: str) -> RenderedCard | None:
        """Return a card that was drawn before."""
        with self._lock:
            return self._cards.get(tag)

    def draw(self, card: Card) -> RenderedCard:
        """Draw a card and keep it."""
        drawn = self._renderer.print(card)
        with self._lock, suppress(ValueError):  # for a card larger than the whole cache
            self._cards[self.tag(card)] = drawn
        return drawn

    def fallback(self, mode: str) -> bytes:
        """Return the background with our name and URL, for a card that cannot be drawn."""
        return self._renderer.blank(mode)


def card_cache() -> CardCache:
    """Return the cache of this application, created for its first card."""
    if "card_cache" not in current_app.extensions:
        application = current_app._get_current_object()  # type: ignore[attr-defined]  # the app
        current_app.extensions["card_cache"] = CardCache(application)
    cache: CardCache = current_app.extensions["card_cache"]
    return cache


def _size(card: RenderedCard) -> int:
    return len(card.png)
