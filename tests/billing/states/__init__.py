"""What Stripe can say of a subscription, and what follows from it: cases that no story tells.

Through the front door: a signed event arrives at a server process, which asks Stripe. Where the
sandbox never says a thing, the gate in front of it does.
"""
