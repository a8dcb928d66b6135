"""Secrets derived from a row's id, so that a copy of the database contains none of them.

A token is the id and its HMAC under the secret key and a purpose, so it is valid only for that
purpose. Fallback keys are accepted but never used for new tokens, so that keys can be rotated while
emails are on their way.
"""

from __future__ import annotations

import hmac
import uuid

from flask import current_app
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from saas import security


def token_for(purpose: str, row_id: uuid.UUID) -> str:
    """Return the token for a row: 54 characters that are safe in URLs."""
    return security.signer(purpose).sign(base64_encode(row_id.bytes)).decode()


def row_id(purpose: str, token: str) -> uuid.UUID | None:
    """Return the id in a token for this purpose, or None if the token is invalid."""
    try:
        return uuid.UUID(bytes=base64_decode(security.signer(purpose).unsign(token.encode())))
    except (BadData, ValueError):
        return None


def code_for(purpose: str, row_id: uuid.UUID) -> str:
    """Return six digits for a row. They can be guessed, so limit attempts per browser."""
    return _code(purpose, row_id, current_app.config["SECRET_KEY"])


def is_code(purpose: str, row_id: uuid.UUID, code: str) -> bool:
    """Return whether these are the digits of the row."""
    codes = [_code(purpose, row_id, key) for key in security.secret_keys()]
    return any(hmac.compare_digest(known.encode(), code.encode()) for known in codes)


def secret_for(purpose: str, row_id: uuid.UUID, key: str) -> bytes:
    """Return 32 bytes derived from the row, the purpose and the key."""
    return base64_decode(security.signer(purpose, key).get_signature(row_id.bytes))


def _code(purpose: str, row_id: uuid.UUID, key: str) -> str:
    return f"{int.from_bytes(secret_for(purpose, row_id, key)) % 1_000_000:06}"
