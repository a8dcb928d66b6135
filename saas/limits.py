"""Rate limits, counted in our database: shared by all processes and kept across restarts.

With `REDIS_URL` set, the counters are in Redis.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import Flask, current_app
from limits import parse
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import case, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column
from werkzeug.exceptions import TooManyRequests

from saas import database, jobs, proxies
from saas.database import Model, UTCDateTime, db, now

log = logging.getLogger("saas.limits")

_REDIS_TIMEOUT = 1.0  # seconds
_REDIS_RETRY = 30.0  # seconds after a failure in which Redis is not called


@dataclass(frozen=True)
class Limit:
    """The maximum hits of a key in a period, such as `Limit("login", "5 per 15 minutes")`.

    `name` separates the counters of this limit from others.
    """

    name: str
    rate: str

    def hit(self, key: str) -> None:
        """Count a hit for `key`; raise 429 with the seconds to wait if the limit is exceeded."""
        counters: Counters = current_app.extensions["limits"]
        if wait := counters.hit(self, _opaque(key)):
            raise TooManyRequests(retry_after=wait)


# Anyone can request sign-in emails for any mailbox, which must not lock out its owner. So emails
# are counted as they were typed, and the owner and their browser separately (sign_in_limits.py).
SIGN_IN_BY_IP = Limit("sign-in-ip", "30 per 15 minutes")
SIGN_IN_BY_EMAIL = Limit("sign-in-email", "5 per 15 minutes")
SIGN_IN_BY_EMAIL_DAILY = Limit("sign-in-email-day", "30 per day")
SIGN_IN_BY_MAILBOX = Limit("sign-in-mailbox", "50 per 15 minutes")  # all spellings of one mailbox
SIGN_IN_BY_BROWSER = Limit("sign-in-browser", "3 per 15 minutes")  # resending, in the same browser
SIGN_IN_BY_BROWSER_DAILY = Limit("sign-in-browser-day", "30 per day")  # per email
SIGN_IN_BY_OWNER = Limit("sign-in-owner", "5 per 15 minutes")
EMAIL_CHANGE_BY_USER = Limit("email-change-user", "5 per 15 minutes")
EMAIL_CHANGE_BY_EMAIL = Limit("email-change-email", "5 per 15 minutes")
EMAIL_CHANGE_BY_EMAIL_DAILY = Limit("email-change-email-day", "10 per day")
# An attacker who requests emails for another mailbox could guess a few codes of each. At 20 a day
# that takes a hundred years; the link in the email still works.
CODES_BY_MAILBOX = Limit("code-mailbox", "20 per day")
SECRETS_BY_IP = Limit("secret-ip", "60 per 15 minutes")  # attempts to use links and codes
API_TOKENS_BY_IP = Limit("api-token-ip", "60 per 15 minutes")  # invalid tokens
OTHER_METHODS_BY_IP = Limit("other-methods-ip", "30 per 15 minutes")  # providers and passkeys
STRIPE_BY_USER = Limit("stripe-user", "30 per minute")  # per endpoint; the return page reloads
API_BY_TOKEN = Limit("api", "300 per minute")
CARDS_BY_IP = Limit("cards-ip", "60 per minute")  # unsigned cards; those of our pages are signed


class RateLimit(Model):
    """The number of hits for a key in the window that ends at `expires_at`."""

    __tablename__ = "rate_limits"

    key: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
    expires_at: Mapped[Any] = mapped_column(UTCDateTime, index=True)


def init_app(app: Flask) -> None:
    """Count in Redis when it is configured; in the database otherwise and while Redis is down."""
    app.extensions["limits"] = Counters(app.config["REDIS_URL"])


class Counters:
    """Counts hits in the database, or in Redis while that is reachable."""

    def __init__(self, redis_url: str) -> None:
        self._in_database = FixedWindowRateLimiter(storage_from_string("saas+database://"))
        self._in_redis = _in_redis(redis_url) if redis_url else None
        self._redis_failed_at = -_REDIS_RETRY

    def hit(self, limit: Limit, key: str) -> int:
        """Return the seconds to wait, 0 while the limit is not exceeded."""
        if self._in_redis and time.monotonic() >= self._redis_failed_at + _REDIS_RETRY:
            try:
                return _hit(self._in_redis, limit, key)
            except StorageError as error:
                self._redis_failed_at = time.monotonic()
                log.warning("Redis is unreachable, rate limits use the database: %s", error)
        return _hit(self._in_database, limit, key)

    def close(self) -> None:
        """Close the connections to Redis."""
        if self._in_redis:
            self._in_redis.storage.storage.close()  # type: ignore[attr-defined]  # Redis's own


def _in_redis(url: str) -> FixedWindowRateLimiter:
    timeouts = {"socket_connect_timeout": _REDIS_TIMEOUT, "socket_timeout": _REDIS_TIMEOUT}
    return FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **timeouts))


def _hit(limiter: FixedWindowRateLimiter, limit: Limit, key: str) -> int:
    item = parse(limit.rate)
    if limiter.hit(item, limit.name, key):
        return 0
    reset, _ = limiter.get_window_stats(item, limit.name, key)
    return max(1, round(reset - now().timestamp()))


def _opaque(key: str) -> str:
    """Return the stored form of a key: a hash, so that counters hold no emails or IPs."""
    secret = current_app.config["SECRET_KEY"].encode()
    return hmac.new(secret, b"limit:" + key.encode(), hashlib.sha256).hexdigest()[:32]


def client_ip() -> str:
    """Return the client's IP as reported by our own proxies."""
    return proxies.client_ip()


# Providers that document which spellings reach the same mailbox. At other providers, each spelling
# counts as its own mailbox.
_IGNORE_DOTS = ("gmail.com", "googlemail.com")  # https://support.google.com/mail/answer/7436150
_IGNORE_TAGS = (
    *_IGNORE_DOTS, "outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "mac.com",
    "fastmail.com", "proton.me", "protonmail.com",
)  # fmt: skip


def normalize_mailbox(email: str) -> str:
    """Return one key for all spellings that a known provider delivers to one mailbox."""
    local, _, domain = email.rpartition("@")
    if domain in _IGNORE_TAGS:
        local = local.split("+")[0]
    if domain in _IGNORE_DOTS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


class DatabaseStorage(Storage):
    """A storage for the `limits` package: fixed windows, one row per key, counted by an upsert.

    `limits` has none for SQL. Each hit is one statement in its own transaction, so that it counts
    even when the request fails afterwards.
    """

    STORAGE_SCHEME = ["saas+database"]

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add `amount` to `key` in a window of `expiry` seconds and return the count."""
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
    database.release_connection()  # a thread that holds one and waits for another may wait forever
    return db.engine.connect().execution_options(writing=True)


@jobs.periodic_task(minutes=60)
def delete_expired_windows() -> None:
    """Delete the counters of windows that have ended."""
    with _own_connection() as connection, connection.begin():
        connection.execute(delete(RateLimit).where(RateLimit.expires_at <= now()))
