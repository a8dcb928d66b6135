"""`flask billing …`: thin views for operators over the same verbs."""

from saas.billing import bp
from saas.billing.operator.cli import events, provisioning, reconcile  # noqa: F401 - they register themselves

bp.cli.short_help = "Subscriptions: our copy, and the truth at Stripe."
