"""What happens at Stripe: objects, their lifecycle, invoices, payments and events."""
