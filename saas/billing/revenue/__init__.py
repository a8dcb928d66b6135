"""Revenue: the movements of monthly recurring revenue (MRR)."""

from saas.billing.revenue.movements import Monthly, monthly, rebuild, record

__all__ = ["Monthly", "monthly", "rebuild", "record"]
