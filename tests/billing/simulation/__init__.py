"""Lives of people at Stripe and with us: what the proofs by search drive."""
