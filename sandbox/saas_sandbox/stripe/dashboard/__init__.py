"""The control panel: events of each customer, and controls."""
