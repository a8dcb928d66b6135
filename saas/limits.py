"""Rate limits, counted in our own database: shared by all processes, surviving a restart.

With `REDIS_URL` set the counters live in Redis instead.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from datetime import timedelta
from typing import Any

from flask import Flask, current_app
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import case, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import TooManyRequests

from saas import jobs, proxies
from saas.database import Model, UTCDateTime, db, now

log = logging.getLogger("saas.limits")

_REDIS_PATIENCE = 2.0  # seconds

# A person mistypes and retries; a script does not stop at ten. Strangers may ask for mails to an
# address, and must not lock its owner out: so the address is counted as it is spelled, and who has
# a session or an earlier mail is counted apart (saas/auth/sign_in_limits.py).
SIGN_IN_BY_ADDRESS = "5 per 15 minutes"
SIGN_IN_BY_ADDRESS_A_DAY = "30 per day"
SIGN_IN_BY_MAILBOX = "50 per 15 minutes"  # all spellings of one mailbox, where they are known
SIGN_IN_BY_OWNER = "5 per 15 minutes"
SIGN_IN_BY_BROWSER = "3 per 15 minutes"  # another mail, for the browser that asked for the first
NEW_ADDRESS_A_DAY = "10 per day"  # confirmations of a change of email, to one email
SIGN_IN_BY_IP = "30 per 15 minutes"
# Codes are few: whoever asks for mails to somebody else's address could guess some of each. With
# twenty a day that takes a hundred years; the link in the mail goes on working.
CODES_BY_ADDRESS = "20 per day"
SECRET_BY_IP = "60 per 15 minutes"  # noqa: S105 - a limit, not a secret
OTHER_WAYS_BY_IP = "30 per 15 minutes"  # beginnings of a sign-in with a provider or a passkey
STRIPE_BY_PERSON = "30 per minute"  # of each page that asks Stripe; the return reloads itself
API_BY_TOKEN = "300 per minute"  # noqa: S105 - a limit, not a secret
CARDS_BY_IP = "60 per minute"  # drawn for whoever asks; what our pages ask for is not counted


class RateLimit(Model):
    """How often a key was counted in the window that ends at `expires_at`."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[Any] = mapped_column(UTCDateTime, index=True)


def init_app(app: Flask) -> None:
    """Count in Redis when it is configured, in our database otherwise, or while Redis is away."""
    ours = FixedWindowRateLimiter(storage_from_string("saas+database://"))
    url = app.config["REDIS_URL"]
    app.extensions["limits"] = _in_redis(url) if url else ours
    app.extensions["limits_in_database"] = ours


def _in_redis(url: str) -> FixedWindowRateLimiter:
    patience = {"socket_connect_timeout": _REDIS_PATIENCE, "socket_timeout": _REDIS_PATIENCE}
    return FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **patience))


def count(limit: str, scope: str, key: str) -> None:
    """Count a try of `key`; raises 429 with the seconds to wait once `limit` is passed."""
    item, key = parse(limit), _opaque(key)
    try:
        wait = _hit(current_app.extensions["limits"], item, scope, key)
    except StorageError as error:
        # Neither without limits nor without sign-in: the other place to count is as good.
        log.warning("Redis does not answer, limits are counted in the database: %s", error)
        wait = _hit(current_app.extensions["limits_in_database"], item, scope, key)
    if wait:
        raise TooManyRequests(retry_after=wait)


def _hit(limiter: FixedWindowRateLimiter, item: RateLimitItem, scope: str, key: str) -> int:
    """The seconds to wait; 0 while the limit is not passed."""
    if limiter.hit(item, scope, key):
        return 0
    reset, _ = limiter.get_window_stats(item, scope, key)
    return max(1, round(reset - now().timestamp()))


def _opaque(key: str) -> str:
    """The key as it is stored: no address of anybody is left behind in a counter."""
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.new(secret, b"limit:" + key.encode(), hashlib.sha256).hexdigest()[:32]


def client_ip() -> str:
    """Who asks, as far as we can trust what we are told: the address behind our own proxies."""
    return proxies.client_ip()


# Providers that document which spellings reach one mailbox. Elsewhere each address is its own.
_IGNORE_DOTS = ("gmail.com", "googlemail.com")  # https://support.google.com/mail/answer/7436150
_IGNORE_TAGS = (
    *_IGNORE_DOTS, "outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "mac.com",
    "fastmail.com", "proton.me", "protonmail.com",
)  # fmt: skip


def normalize_mailbox(email: str) -> str:
    """Return one key for the spellings of one mailbox, where its provider is known to have any."""
    local, _, domain = email.rpartition("@")
    if domain in _IGNORE_TAGS:
        local = local.split("+")[0]
    if domain in _IGNORE_DOTS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


class DatabaseStorage(Storage):
    """A `limits` storage of fixed windows, one row a key, counted by an upsert.

    The statement is one and atomic, in a transaction of its own: a request that fails afterwards
    has been counted all the same.
    """

    STORAGE_SCHEME = ["saas+database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` for `key` in a window of `expiry` seconds; the count so far."""
        at = now()
        if db.engine.dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import insert
        else:
            from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # same verbs
        over = RateLimit.expires_at <= at
        until = at + timedelta(seconds=expiry)
        statement = (
            insert(RateLimit)
            .values(key=key, count=amount, expires_at=until)
            .on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "count": case((over, amount), else_=RateLimit.count + amount),
                    "expires_at": case((over, until), else_=RateLimit.expires_at),
                },
            )
            .returning(RateLimit.count)
        )
        with _own_connection() as connection, connection.begin():
            return int(connection.execute(statement).scalar_one())

    def get(self, key: str) -> int:
        row = self._row(key)
        return int(row.count) if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row(key)
        return float(row.expires_at.timestamp()) if row else now().timestamp()

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        return self._delete()

    def clear(self, key: str) -> None:
        self._delete(RateLimit.key == key)

    def _row(self, key: str) -> Any:
        statement = select(RateLimit.count, RateLimit.expires_at)
        with _own_connection() as connection:
            return connection.execute(
                statement.where(RateLimit.key == key, RateLimit.expires_at > now())
            ).one_or_none()

    def _delete(self, *conditions: Any) -> int:
        with _own_connection() as connection, connection.begin():
            return int(connection.execute(delete(RateLimit).where(*conditions)).rowcount)


def _own_connection() -> Any:
    return db.engine.connect().execution_options(writing=True)


@jobs.periodic_task(minutes=60)
def delete_expired_windows() -> None:
    """Windows that are over count nothing."""
    with _own_connection() as connection, connection.begin():
        connection.execute(delete(RateLimit).where(RateLimit.expires_at <= now()))
