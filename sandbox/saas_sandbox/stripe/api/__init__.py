"""Stripe's HTTP API on top of the engine."""
