"""`flask billing doctor`: every way in which a Stripe setup goes wrong, and how to fix it."""
