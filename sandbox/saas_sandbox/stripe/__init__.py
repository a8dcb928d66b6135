"""Stripe for subscription businesses: API, lifecycle, events and hosted pages."""
