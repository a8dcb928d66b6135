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

    wanted = schemas.read(request.args)
    tag = card_cache().tag(wanted)
    if tag in request.if_none_match:
        return _for_ever(Response(status=304), tag)
    found = card_cache().find(tag)
    if found is None:
        _count_drawing(wanted)
        try:
            found = card_cache().draw(wanted)
        except Exception:
            log.exception("a card could not be drawn: %s", wanted)
            return _png(card_cache().fallback(wanted.mode))
    answer = _png(found.png)
    return _for_ever(answer, tag) if found.complete else answer


def _count_drawing(wanted: Card) -> None:
    """Only what has to be drawn is counted, and what our own pages ask for is not."""
    if not links.is_signed(wanted, request.args.get("sig", "")):
        limits.CARDS_BY_IP.hit(limits.client_ip())


def _png(png: bytes) -> Response:
    answer = Response(png, mimetype="image/png")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _for_ever(answer: Response, tag: str) -> Response:
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = _FOR_EVER
    return answer
