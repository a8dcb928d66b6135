"""Stripe, as far as a subscription business needs it: API, lifecycle, events and hosted pages."""
