"""Addresses of cards, signed: our own pages ask for cards without being counted."""

from __future__ import annotations

import hashlib
import hmac

from flask import current_app

from saas.og import bp, schemas
from saas.og.card import Card
from saas.og.render import text

_PURPOSE = b"share-card"
_LENGTH = 22  # characters of hex; 88 bits


@bp.app_template_global()
def card_url(
    heading: str, *, type: str = "", mode: str | None = "light", template: str = "page", **more: str
) -> str:
    """The absolute, signed address of a card, such as a page's og:image."""
    words = {"heading": heading, "type": type, **more}
    # As the address will be read: cleaned, and short enough never to be refused.
    words = {
        name: text.clean(text.clean(said), schemas.longest(name)) for name, said in words.items()
    }
    card = Card(**words, mode=mode or "light", template=template)
    address = f"{current_app.config['APP_URL']}/api/og?{card.query}"
    return f"{address}&sig={_sign(card, current_app.config['SECRET_KEY'])}"


def is_signed(card: Card, signature: str) -> bool:
    """Whether this card's address was made by us, with the secret of today or of before."""
    if not signature.isascii():
        return False
    keys = [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
    return any(hmac.compare_digest(_sign(card, key), signature) for key in keys)


def _sign(card: Card, secret: str) -> str:
    """Over what the card is, not over how it was spelt in the address."""
    key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
    return hmac.new(key, card.query.encode(), hashlib.sha256).hexdigest()[:_LENGTH]
