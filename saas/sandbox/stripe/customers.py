"""A new customer, whoever asks for one."""

import stripe

from . import ids
from .account import Account
from .errors import invalid
from .resource import Resource
from .shapes import shaped


def new_customer(account: Account, clock: str | None = None) -> Resource:
    return shaped(
        stripe.Customer,
        id=ids.new("customer"),
        created=account.now(clock),
        balance=0,
        delinquent=False,
        invoice_prefix=ids.token(8).upper(),
        invoice_settings={
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        metadata={},
        next_invoice_sequence=1,
        preferred_locales=[],
        tax_exempt="none",
        test_clock=clock,
    )


def checked(name: str, value: str | None) -> str | None:
    """A name or an address as it may be stored; an empty one is none."""
    if name == "email" and value:
        outside = "@" not in value or any(letter.isspace() for letter in value)
        if outside or len(value) > 512:
            raise invalid(f"Invalid email address: {value[:100]}", "email", "email_invalid")
    return value[:256] if value else None
