"""The supported version of Stripe's API, named in every response."""

import re

from saas_sandbox.stripe.engine.errors import StripeError, invalid

PLAYED = "2026-10-28.endive"
_NAMED = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


def check(wanted: str | None) -> None:
    """Refuse other versions, because responses would not have their shape."""
    if wanted in (None, PLAYED):
        return
    if not wanted or not _NAMED.match(wanted):
        raise invalid(f"Invalid Stripe API version: {wanted[:100] if wanted else ''}")
    raise StripeError(
        f"This sandbox only supports version {PLAYED} of Stripe's API, not {wanted}. "
        f"Send `Stripe-Version: {PLAYED}`, or leave the header out.",
        code="sandbox_unsupported",
    )
