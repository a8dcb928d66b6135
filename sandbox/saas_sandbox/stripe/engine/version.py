"""The supported version of Stripe's API, named in every response."""

import re

from saas_sandbox.stripe.engine.errors import StripeError, invalid

API_VERSION = "2026-10-28.endive"
_VERSION_PATTERN = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


def check_version(version: str | None) -> None:
    """Refuse other versions, because responses would have the wrong shape."""
    if version in (None, API_VERSION):
        return
    if not version or not _VERSION_PATTERN.match(version):
        raise invalid(f"Invalid Stripe API version: {version[:100] if version else ''}")
    raise StripeError(
        f"This sandbox only supports version {API_VERSION} of Stripe's API, not {version}. "
        f"Send `Stripe-Version: {API_VERSION}`, or leave the header out.",
        code="sandbox_unsupported",
    )
