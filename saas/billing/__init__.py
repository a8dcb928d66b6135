"""billing knows what you pay: checkout, portal, webhooks, and the copy of Stripe's state."""

from flask import Blueprint

bp = Blueprint("billing", __name__)

from saas.billing import cli, customers, tasks, views, webhooks  # noqa: E402, F401 - they register themselves on bp
