"""Faults that are injected on purpose, into API calls and deliveries."""
