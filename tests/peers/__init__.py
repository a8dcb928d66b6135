"""Checks against other implementations of Stripe, run by `make check-peers` only."""
