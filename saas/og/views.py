"""GET /api/og: return a card as PNG, drawn completely before headers are sent."""

from __future__ import annotations

import logging

from flask import Response, request

from saas import limits
from saas.og import bp, links, schemas
from saas.og.card import Card

log = logging.getLogger("saas.og")

_IMMUTABLE = "public, immutable, max-age=31536000"


@bp.get("/api/og")
def card() -> Response:
    from saas.og.card_cache import card_cache  # loads Pillow, with the first card

    requested = schemas.read(request.args)
    tag = card_cache().tag(requested)
    if tag in request.if_none_match:
        return _cache_forever(Response(status=304), tag)
    rendered = card_cache().find(tag)
    if rendered is None:
        _hit_limit(requested)
        try:
            rendered = card_cache().draw(requested)
        except Exception:
            log.exception("a card could not be drawn: %s", requested)
            return _png(card_cache().fallback(requested.mode))
    response = _png(rendered.png)
    return _cache_forever(response, tag) if rendered.complete else response


def _hit_limit(requested: Card) -> None:
    """Count cards that must be drawn, except those of our own pages."""
    if not links.is_signed(requested, request.args.get("sig", "")):
        limits.CARDS_BY_IP.hit(limits.client_ip())


def _png(png: bytes) -> Response:
    response = Response(png, mimetype="image/png")
    response.headers["Cache-Control"] = "no-store"
    return response


def _cache_forever(response: Response, tag: str) -> Response:
    response.set_etag(tag)
    response.headers["Cache-Control"] = _IMMUTABLE
    return response
