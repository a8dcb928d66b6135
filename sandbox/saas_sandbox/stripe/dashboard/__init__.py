"""The dashboard: events of each customer, and controls."""
