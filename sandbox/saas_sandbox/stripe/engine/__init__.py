"""The engine: objects, their lifecycle, invoices, payments and events."""
