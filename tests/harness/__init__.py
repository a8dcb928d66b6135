"""Fixtures and helpers of the starter's tests."""
