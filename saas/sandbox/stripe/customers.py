"""A new customer, whoever asks for one."""

import stripe

from . import ids
from .account import Account
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
