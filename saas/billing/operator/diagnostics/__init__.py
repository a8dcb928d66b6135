"""`flask billing doctor`: find the faults of a Stripe setup, and say how to fix them."""
