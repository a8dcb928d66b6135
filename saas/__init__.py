"""A SaaS on Flask: sign-in, Stripe subscriptions, people and roles, share cards."""
