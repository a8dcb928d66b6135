"""Grants: clients and their secrets, single-use codes, access tokens."""

import hmac
import secrets
import sqlite3
import string
from dataclasses import dataclass, fields
from hashlib import sha256

from saas_sandbox.identity.authorization import AuthorizationRequest
from saas_sandbox.identity.profiles import User

from ..store import Store

CODE_LIFETIME = 60
TOKEN_LIFETIME = 3600
CODE_RETENTION = 86400
ALPHABET = string.ascii_letters + string.digits

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS identity_clients (
        provider TEXT NOT NULL,
        client TEXT NOT NULL,
        secret TEXT NOT NULL,
        PRIMARY KEY (provider, client)
    )""",
    """CREATE TABLE IF NOT EXISTS identity_codes (
        code TEXT PRIMARY KEY,
        provider TEXT NOT NULL,
        client_id TEXT NOT NULL,
        redirect_uri TEXT NOT NULL,
        scope TEXT NOT NULL,
        nonce TEXT NOT NULL,
        challenge TEXT NOT NULL,
        user TEXT NOT NULL,
        failure TEXT NOT NULL,
        expires REAL NOT NULL,
        redeemed INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS identity_tokens (
        token TEXT PRIMARY KEY,
        code TEXT NOT NULL,
        expires REAL NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS identity_keys (
        use TEXT PRIMARY KEY,
        body TEXT NOT NULL
    )""",
)


@dataclass(frozen=True)
class Grant:
    """A user's consent for a client, and the chosen failure."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    challenge: str
    user: User
    failure: str


def create_tables(store: Store) -> None:
    with store.transaction():
        for statement in SCHEMA:
            store.execute(statement)


def check_client_secret(store: Store, provider: str, client_id: str, secret: str) -> bool:
    """Return whether the secret is correct. The first secret used with a client id is stored."""
    if not 8 <= len(secret) <= 500:
        return False
    digest = sha256(secret.encode(errors="replace")).hexdigest()
    with store.transaction():
        store.execute(
            "INSERT INTO identity_clients VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            provider, client_id, digest,
        )  # fmt: skip
        row = store.fetch_one(
            "SELECT secret FROM identity_clients WHERE provider = ? AND client = ?",
            provider, client_id,
        )  # fmt: skip
    return row is not None and hmac.compare_digest(row["secret"], digest)


def issue_code(
    store: Store,
    now: float,
    provider: str,
    auth_request: AuthorizationRequest,
    user: User,
    failure: str,
) -> str:
    """Create a code for this client and redirect URI, valid for a minute."""
    code = secrets.token_urlsafe(32)
    with store.transaction():
        store.execute("DELETE FROM identity_codes WHERE expires < ?", now - CODE_RETENTION)
        store.execute(
            "INSERT INTO identity_codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            code, provider, auth_request.client_id, auth_request.redirect_uri, auth_request.scope,
            auth_request.nonce, auth_request.challenge, user.to_json(), failure,
            now + CODE_LIFETIME,
        )  # fmt: skip
    return code


def redeem_code(store: Store, now: float, provider: str, client_id: str, code: str) -> Grant | None:
    """Return the grant of a code and use it up, even if it is refused.

    RFC 6749, 4.1.2: used again, the server "MUST deny the request and SHOULD revoke (when possible)
    all tokens previously issued based on that authorization code". Tokens are valid only while
    their code has been redeemed exactly once, so a replay revokes them in any order.
    """
    with store.transaction():
        store.execute(
            "UPDATE identity_codes SET redeemed = redeemed + 1 "
            "WHERE code = ? AND provider = ? AND client_id = ?",
            code, provider, client_id,
        )  # fmt: skip
        row = store.fetch_one(
            "SELECT * FROM identity_codes "
            "WHERE code = ? AND provider = ? AND client_id = ? AND redeemed = 1 AND expires > ?",
            code, provider, client_id, now,
        )  # fmt: skip
    return _from_row(row) if row else None


def issue_token(store: Store, now: float, grant: Grant, prefix: str = "") -> str:
    token = prefix + "".join(secrets.choice(ALPHABET) for _ in range(36))
    with store.transaction():
        store.execute("DELETE FROM identity_tokens WHERE expires < ?", now)
        store.execute(
            "INSERT INTO identity_tokens VALUES (?, ?, ?)", token, grant.code, now + TOKEN_LIFETIME
        )
    return token


def find_by_token(store: Store, now: float, provider: str, token: str) -> Grant | None:
    """Return the grant of an access token."""
    row = store.fetch_one(
        "SELECT codes.* FROM identity_tokens tokens JOIN identity_codes codes USING (code) "
        "WHERE token = ? AND tokens.expires > ? AND provider = ? AND redeemed = 1",
        token, now, provider,
    )  # fmt: skip
    return _from_row(row) if row else None


def _from_row(row: sqlite3.Row) -> Grant:
    columns = {field.name: row[field.name] for field in fields(Grant)}
    return Grant(**{**columns, "user": User.from_json(row["user"])})
