"""Commands and checks for operators: set Stripe up, find drift, backfill events."""

from saas.billing.operator import cli

__all__ = ["cli"]
