"""Signed tokens for rows, so that the database alone does not contain any secret.

A token is the signed id of a row. The purpose is the salt, so a token for one purpose is not valid
for another. Tokens of fallback keys are accepted, so that keys can be changed while emails are on
their way.
"""

from __future__ import annotations

import hmac
import uuid

from flask import current_app
from itsdangerous import BadData
from itsdangerous.encoding import base64_decode, base64_encode

from saas import security


def token_for(purpose: str, row_id: uuid.UUID) -> str:
    """Return the token that an email carries: 66 characters that are safe in a URL."""
    return security.signer(purpose).sign(base64_encode(row_id.bytes)).decode()


def row_id(purpose: str, token: str) -> uuid.UUID | None:
    """Return the id in a token for this purpose, None for anything else."""
    try:
        return uuid.UUID(bytes=base64_decode(security.signer(purpose).unsign(token.encode())))
    except (BadData, ValueError):
        return None


def code_for(purpose: str, row_id: uuid.UUID) -> str:
    """Return six digits for a row. They can be guessed: limit the tries, bind it to a browser."""
    return _code(purpose, row_id, current_app.config["SECRET_KEY"])


def is_code(purpose: str, row_id: uuid.UUID, code: str) -> bool:
    """Return whether these are the digits of the row."""
    codes = [_code(purpose, row_id, key) for key in security.secret_keys()]
    return any(hmac.compare_digest(known.encode(), code.encode()) for known in codes)


def secret_for(purpose: str, row_id: uuid.UUID, key: str) -> bytes:
    """Return 32 bytes that only this row, purpose and key give."""
    return base64_decode(security.signer(purpose, key).get_signature(row_id.bytes))


def _code(purpose: str, row_id: uuid.UUID, key: str) -> str:
    return f"{int.from_bytes(secret_for(purpose, row_id, key)) % 1_000_000:06}"
