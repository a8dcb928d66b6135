"""`flask billing …`: commands for operators."""

from saas.billing import bp
from saas.billing.operator.cli import (  # noqa: F401 - they register on import
    events,
    orphans,
    provisioning,
    reconcile,
    revenue,
)

bp.cli.help = "Set up Stripe, check and sync subscriptions, replay events."
