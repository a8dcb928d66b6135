"""Forms of billing: what is bought is a plan and an interval, never a price from the browser."""

from __future__ import annotations

from uuid import uuid4

from wtforms import HiddenField, SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # its types lag
from wtforms.validators import Regexp

from saas import plans
from saas.security import Form


class CheckoutForm(Form):
    """A plan of the catalogue. The nonce names the page, so that a double click buys once."""

    plan = SelectField(
        "Plan", choices=[SelectChoice(plan.id, plan.name) for plan in plans.FOR_SALE]
    )
    interval = SelectField(
        "Billed", choices=[SelectChoice(interval, interval) for interval in plans.INTERVALS]
    )
    nonce = HiddenField(default=lambda: uuid4().hex, validators=[Regexp(r"[0-9a-f]{0,32}\Z")])
