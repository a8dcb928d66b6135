"""GET /api/og: a card as PNG, drawn completely before its headers go out."""

from __future__ import annotations

import logging

from flask import Response, request

from saas import limits
from saas.og import bp, links, schemas
from saas.og.card import Card

log = logging.getLogger("saas.og")

_FOR_EVER = "public, immutable, max-age=31536000"


@bp.get("/api/og")
def card() -> Response:
    from saas.og.card_cache import card_cache  # loads Pillow, with the first card

    requested = schemas.read(request.args)
    tag = card_cache().tag(requested)
    if tag in request.if_none_match:
        return _for_ever(Response(status=304), tag)
    rendered = card_cache().find(tag)
    if rendered is None:
        _count_drawing(requested)
        try:
            rendered = card_cache().draw(requested)
        except Exception:
            log.exception("a card could not be drawn: %s", requested)
            return _png(card_cache().fallback(requested.mode))
    response = _png(rendered.png)
    return _for_ever(response, tag) if rendered.complete else response


def _count_drawing(requested: Card) -> None:
    """Only what has to be drawn is counted, and what our own pages ask for is not."""
    if not links.is_signed(requested, request.args.get("sig", "")):
        limits.CARDS_BY_IP.hit(limits.client_ip())


def _png(png: bytes) -> Response:
    response = Response(png, mimetype="image/png")
    response.headers["Cache-Control"] = "no-store"
    return response


def _for_ever(response: Response, tag: str) -> Response:
    response.set_etag(tag)
    response.headers["Cache-Control"] = _FOR_EVER
    return response
