"""Cards for one application: the press, and the cards that were drawn last."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from threading import Lock
from urllib.parse import urlsplit

from flask import Flask, current_app

from saas.og.card import Card
from saas.og.render.fonts import Library
from saas.og.render.renderer import RenderedCard, Renderer

MAX_BYTES = 16 * 1024 * 1024  # of finished cards that a process keeps


class CardCache:
    """Draws a card once and keeps it while there is room; the least used goes first."""

    def __init__(self, app: Flask, max_bytes: int = MAX_BYTES) -> None:
        library = Library.from_setting(app.config["OG_FONTS"])
        brand = app.config["BRAND"]
        site = urlsplit(app.config["APP_URL"]).netloc
        self.press = Renderer(brand, site, library)
        surroundings = "\n".join((repr(brand), site, *library.names))
        self._surroundings = hashlib.sha256(surroundings.encode()).hexdigest()
        self._kept: OrderedDict[str, RenderedCard] = OrderedDict()
        self._size = 0
        self._max_bytes = max_bytes
        self._lock = Lock()

    def tag(self, card: Card) -> str:
        """The card's name for caches: another version, brand or set of fonts gives another."""
        return card.tag(self._surroundings)

    def find(self, tag: str) -> RenderedCard | None:
        """A card that was drawn before."""
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
            return self._kept.get(tag)

    def draw(self, card: Card) -> RenderedCard:
        """The card, drawn now and kept."""
        drawn, tag = self.press.print(card), self.tag(card)
        with self._lock:
            if before := self._kept.pop(tag, None):  # two threads may draw the same card
                self._size -= len(before.png)
            self._kept[tag] = drawn
            self._size += len(drawn.png)
            while self._size > self._max_bytes:
                self._size -= len(self._kept.popitem(last=False)[1].png)
        return drawn

    def fallback(self, mode: str) -> bytes:
        """The ground alone, with our name and address, for when a card cannot be drawn."""
        return self.press.blank(mode)


def card_cache() -> CardCache:
    """The studio of this application, opened with its first card."""
    if "studio" not in current_app.extensions:
        application = current_app._get_current_object()  # type: ignore[attr-defined]  # the app
        current_app.extensions["studio"] = CardCache(application)
    found: CardCache = current_app.extensions["studio"]
    return found
