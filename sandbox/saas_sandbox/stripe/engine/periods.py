"""Billing periods, computed from the anchor; short months shift the date.

"A monthly subscription with a billing cycle anchor date of January 31 bills the last day of the
month closest to the anchor date, so February 28 (or February 29 in a leap year), then March 31,
April 30, and so on."
https://docs.stripe.com/billing/subscriptions/billing-cycle
"""

import calendar
from datetime import UTC, datetime, timedelta

SECONDS = {"day": 86400, "week": 7 * 86400}


def next_boundary(anchor: int, moment: int, interval: str, count: int) -> int:
    """Return the first point of the billing cycle after a time."""
    if interval in SECONDS:
        step = SECONDS[interval] * count
        return anchor + ((moment - anchor) // step + 1) * step

    months = count * (12 if interval == "year" else 1)
    turns = _count_months(anchor, moment) // months
    while _add_months(anchor, turns * months) > moment:
        turns -= 1
    while _add_months(anchor, turns * months) <= moment:
        turns += 1
    return _add_months(anchor, turns * months)


def previous_boundary(anchor: int, moment: int, interval: str, count: int) -> int:
    """Return the last point of the billing cycle before a time."""
    if interval in SECONDS:
        step = SECONDS[interval] * count
        return anchor + -(-(moment - anchor) // step - 1) * step

    months = count * (12 if interval == "year" else 1)
    turns = _count_months(anchor, moment) // months + 1
    while _add_months(anchor, turns * months) >= moment:
        turns -= 1
    return _add_months(anchor, turns * months)


def add_intervals(moment: int, interval: str, count: int) -> int:
    """Return the time a number of days, weeks, months or years later."""
    if interval in SECONDS:
        return moment + SECONDS[interval] * count
    return _add_months(moment, count * (12 if interval == "year" else 1))


def _count_months(start: int, end: int) -> int:
    a, b = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    return (b.year - a.year) * 12 + b.month - a.month


def _add_months(moment: int, months: int) -> int:
    start = datetime.fromtimestamp(moment, UTC)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    moved = start.replace(year=year, month=month + 1, day=1) + timedelta(days=day - 1)
    return int(moved.timestamp())
