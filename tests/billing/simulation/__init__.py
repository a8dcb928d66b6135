"""Simulated subscribers at Stripe and in the application, for tests that search for failures."""
