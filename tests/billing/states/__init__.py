"""Unusual states of subscriptions at Stripe, and how the application handles them.

A signed event arrives at a server process, which asks Stripe. Responses that the sandbox never
gives come from the proxy in front of it.
"""
