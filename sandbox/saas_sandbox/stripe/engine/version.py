"""The version of Stripe's API that is played: one, named in every answer."""

import re

from saas_sandbox.stripe.engine.errors import StripeError, invalid

PLAYED = "2026-10-28.endive"
_NAMED = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")


def check(wanted: str | None) -> None:
    """Refuse every version but ours: its answers would have another shape than its name says."""
    if wanted in (None, PLAYED):
        return
    if not wanted or not _NAMED.match(wanted):
        raise invalid(f"Invalid Stripe API version: {wanted[:100] if wanted else ''}")
    raise StripeError(
        f"This sandbox plays version {PLAYED} of Stripe's API only, and the request asks for "
        f"{wanted}. Send `Stripe-Version: {PLAYED}`, or leave the header out.",
        code="sandbox_unsupported",
    )
