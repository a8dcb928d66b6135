"""Signed URLs of cards, so that our own pages have no rate limit."""

from __future__ import annotations

from flask import current_app

from saas import security
from saas.og import bp, schemas
from saas.og.card import Card
from saas.og.render import text

_PURPOSE = "share-card"


@bp.app_template_global()
def card_url(
    heading: str, *, type: str = "", mode: str | None = "light", template: str = "page", **more: str
) -> str:
    """Return the absolute, signed URL of a card, such as a page's og:image."""
    words = {"heading": heading, "type": type, **more}
    # Cleaned as the view will clean it, and short enough to be accepted.
    words = {
        name: text.clean(text.clean(value), schemas.longest(name)) for name, value in words.items()
    }
    card = Card(**words, mode=mode or "light", template=template)
    url = f"{current_app.config['APP_URL']}/api/og?{card.query}"
    return f"{url}&sig={_sign(card)}"


def is_signed(card: Card, signature: str) -> bool:
    """Return whether this card's URL was signed with the secret key or a fallback."""
    return security.signer(_PURPOSE).verify_signature(card.query, signature)


def _sign(card: Card) -> str:
    """Sign the card's values, not their spelling in the URL."""
    return security.signer(_PURPOSE).get_signature(card.query).decode()
