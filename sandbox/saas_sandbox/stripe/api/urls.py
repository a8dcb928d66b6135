"""Validate redirect URLs: http and https, as in Stripe's test mode."""

from urllib.parse import urlsplit

from saas_sandbox.stripe.engine.errors import StripeError, invalid

MAX_LENGTH = 5000


def check_url(url: str, param: str) -> str:
    """Return the URL if a browser could open it."""
    if len(url) > MAX_LENGTH:
        raise invalid(f"Invalid URL: {param} is too long.", param, "url_invalid")
    try:
        parts = urlsplit(url)
        port = parts.port  # reading it raises if it is invalid
    except ValueError:
        raise _invalid_url(param) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise _invalid_url(param)
    return url


def _invalid_url(param: str) -> StripeError:
    return invalid("Not a valid URL", param, "url_invalid")
