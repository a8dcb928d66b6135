"""Other people's Stripe: run by `make check-peers`, and by nothing else."""
