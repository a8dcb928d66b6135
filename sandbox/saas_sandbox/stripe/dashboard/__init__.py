"""The Dashboard: what happened to each customer, and the buttons to make more happen."""
