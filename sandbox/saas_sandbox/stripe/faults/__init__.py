"""Faults injected into API calls and deliveries."""
