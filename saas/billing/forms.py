"""Forms of billing. They contain a plan and an interval, never a price from the browser."""

from __future__ import annotations

from uuid import uuid4

from wtforms import HiddenField, SelectField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # its types lag
from wtforms.validators import Regexp, ValidationError

from saas import plans, products
from saas.security import Form


def _plans_for_sale() -> list[SelectChoice]:
    return [SelectChoice(plan.id, plan.name) for plan in products.catalogue().for_sale]


class CheckoutForm(Form):
    """A plan in the catalogue. The nonce identifies the page, so that a double click buys once."""

    plan = SelectField("Plan", choices=_plans_for_sale)
    interval = SelectField(
        "Billed", choices=[SelectChoice(interval, interval) for interval in plans.INTERVALS]
    )

    def validate_interval(self, field: SelectField) -> None:
        """Refuse intervals that are not sold."""
        plan = products.catalogue().by_id.get(self.plan.data)
        if plan and field.data in plans.INTERVALS and field.data not in plan.prices:
            sold = " or ".join(plan.prices)
            raise ValidationError(f"{plan.name} is only billed {sold}.")

    nonce = HiddenField(default=lambda: uuid4().hex, validators=[Regexp(r"[0-9a-f]{0,32}\Z")])
