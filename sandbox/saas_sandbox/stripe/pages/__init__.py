"""Stripe's hosted pages: checkout, portal, invoice. Plain HTML forms without scripts."""
