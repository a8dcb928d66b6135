"""Plan objects, which subscription items still contain next to their price."""

import stripe

from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object


def build_plan(price: Resource) -> Resource:
    recurring = price["recurring"]
    return build_object(
        stripe.Plan,
        id=price["id"],
        created=price["created"],
        active=price["active"],
        amount=price["unit_amount"],
        amount_decimal=price["unit_amount_decimal"],
        billing_scheme=price["billing_scheme"],
        currency=price["currency"],
        interval=recurring["interval"],
        interval_count=recurring["interval_count"],
        metadata=price["metadata"],
        nickname=price["nickname"],
        product=price["product"],
        usage_type=recurring["usage_type"],
    )
