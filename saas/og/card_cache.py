"""The renderer of an application, and a cache of its cards."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from threading import Lock
from urllib.parse import urlsplit

from cachetools import LRUCache
from flask import Flask, current_app

from saas import static_files
from saas.og.card import Card
from saas.og.render.fonts import Library
from saas.og.render.renderer import RenderedCard, Renderer

MAX_BYTES = 16 * 1024 * 1024  # of cached cards per process


class CardCache:
    """Draws cards and caches them; the least recently used card is dropped first."""

    def __init__(self, app: Flask, max_bytes: int = MAX_BYTES) -> None:
        library = Library.from_setting(app.config["OG_FONTS"])
        brand = app.config["BRAND"]
        site = urlsplit(app.config["APP_URL"]).netloc
        logo = static_files.path_of(app, "icons/logo.png")
        self._renderer = Renderer(brand, site, logo, library)
        surroundings = "\n".join((repr(brand), site, *library.names)).encode()
        self._surroundings = hashlib.sha256(surroundings + logo.read_bytes()).hexdigest()
        self._cards: LRUCache[str, RenderedCard] = LRUCache(max_bytes, _size)
        self._lock = Lock()

    def tag(self, card: Card) -> str:
        """Return the card's ETag, which also depends on version, brand and fonts."""
        return card.tag(self._surroundings)

    def find(self, tag: str) -> RenderedCard | None:
        """Return a cached card, or None."""
        with self._lock:
            return self._cards.get(tag)

    def draw(self, card: Card) -> RenderedCard:
        """Draw a card and cache it."""
        drawn = self._renderer.print(card)
        with self._lock, suppress(ValueError):  # for a card larger than the whole cache
            self._cards[self.tag(card)] = drawn
        return drawn

    def fallback(self, mode: str) -> bytes:
        """Return the background with name and URL, for use when drawing fails."""
        return self._renderer.blank(mode)


def card_cache() -> CardCache:
    """Return the card cache of this application, created on first use."""
    if "card_cache" not in current_app.extensions:
        application = current_app._get_current_object()  # type: ignore[attr-defined]  # the app
        current_app.extensions["card_cache"] = CardCache(application)
    cache: CardCache = current_app.extensions["card_cache"]
    return cache


def _size(card: RenderedCard) -> int:
    return len(card.png)
