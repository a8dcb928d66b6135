"""`flask billing …`: commands for operators."""

from saas.billing import bp
from saas.billing.operator.cli import events, orphans, provisioning, reconcile  # noqa: F401 - they register on import

bp.cli.help = "Set up Stripe, check and sync subscriptions, replay events."
