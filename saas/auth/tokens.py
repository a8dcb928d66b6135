"""Secrets that are derived from a row's id, so that the database alone yields none of them.

A token is the id and its HMAC under the secret key and a purpose: a token for one purpose is none
for another. A fallback key is accepted and never used for a new one, so keys can be changed while
mails are on their way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid

from flask import current_app

_MAC_BYTES = 24


def token_for(purpose: str, row_id: uuid.UUID) -> str:
    """What a mail carries: 54 characters that fit an address."""
    return _token(purpose, row_id, _keys()[0])


def row_of(purpose: str, token: str) -> uuid.UUID | None:
    """The id in a token that we made for this purpose; None for anything else."""
    try:
        raw = base64.urlsafe_b64decode(token.encode("ascii") + b"==")
        row_id = uuid.UUID(bytes=raw[:16])
    except (ValueError, binascii.Error):
        return None
    known = any(hmac.compare_digest(_token(purpose, row_id, key), token) for key in _keys())
    return row_id if known else None


def code_for(purpose: str, row_id: uuid.UUID) -> str:
    """Six digits for a row. Few enough to guess: count the tries, and bind it to a browser."""
    return _code(purpose, row_id, _keys()[0])


def is_code(purpose: str, row_id: uuid.UUID, code: str) -> bool:
    """Whether these are the digits of the row."""
    typed = code.encode()
    return any(hmac.compare_digest(_code(purpose, row_id, key).encode(), typed) for key in _keys())


def _token(purpose: str, row_id: uuid.UUID, key: str) -> str:
    proof = _proof(purpose, row_id, key)[:_MAC_BYTES]
    return base64.urlsafe_b64encode(row_id.bytes + proof).rstrip(b"=").decode()


def _code(purpose: str, row_id: uuid.UUID, key: str) -> str:
    return f"{int.from_bytes(_proof(purpose, row_id, key)) % 1_000_000:06}"


def _proof(purpose: str, row_id: uuid.UUID, key: str) -> bytes:
    return hmac.digest(key.encode(), purpose.encode() + b":" + row_id.bytes, hashlib.sha256)


def _keys() -> list[str]:
    return [current_app.config["SECRET_KEY"], *current_app.config["SECRET_KEY_FALLBACKS"]]
