"""Revenue: the movements of monthly recurring revenue (MRR), and the figures of the business."""

from saas.billing.revenue.movements import Monthly, monthly, rebuild, record

__all__ = ["Monthly", "monthly", "rebuild", "record"]
