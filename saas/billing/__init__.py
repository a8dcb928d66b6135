"""Stripe subscriptions: checkout, portal, webhooks, and the copy of Stripe's state."""

from flask import Blueprint

bp = Blueprint("billing", __name__)

from saas.billing import (  # noqa: E402, F401 - they register on bp
    customers,
    operator,
    tasks,
    views,
    webhooks,
)
