"""The figures of the business, computed by a periodic task and stored with their time.

They come from the users' columns and from the recorded movements, never from payloads of events.
Amounts are in the smallest unit of their currency, and currencies are never added up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import distinct, func, select

from saas import database, jobs, products
from saas.admin import reports
from saas.admin.models import StoredReport
from saas.auth.models import Session, User
from saas.billing.models import RevenueMovement
from saas.billing.revenue import movements
from saas.database import db, first_id, now
from saas.subscriber import LIVE_STATUSES

MONTHS = 12  # shown, besides the current one
DAYS = 30
_TRIALS = timedelta(days=90)
_BATCH = 1000
_NAME = "figures"

Amounts = dict[str, int]  # by currency


@dataclass(frozen=True)
class Month:
    """The movements of a month, by kind and currency, and the MRR at its end."""

    month: str  # such as 2026-11, in UTC
    mrr: Amounts
    movements: dict[str, Amounts]
    trials: dict[str, int]

    def as_rows(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Yield the figures of the month."""
        for what, amounts in [*self.movements.items(), ("mrr at the end", self.mrr)]:
            for currency, amount in amounts.items():
                yield "month", self.month, what, currency, amount
        for what, count in self.trials.items():
            yield "month", self.month, what, "", count


@dataclass(frozen=True)
class Figures:
    """What the overview shows, as of a time."""

    at: datetime
    users: int
    new_users: dict[str, int]  # by day, oldest first
    active_users: int
    plans: dict[str, dict[str, int]]  # subscriptions by plan id ("" is unknown), then status
    granted: int
    purchased: int
    mrr: Amounts
    charged: Amounts  # per month, by the columns of all users; equal to `mrr`
    trialing: int
    trials_converted: int
    trials_ended: int
    past_due: int
    at_risk: Amounts
    months: list[Month] = field(default_factory=list)

    @property
    def conversion(self) -> float | None:
        """The share of trials of the last 90 days that became a paid subscription."""
        finished = self.trials_converted + self.trials_ended
        return self.trials_converted / finished if finished else None

    def as_rows(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Yield all figures: section, month or day or plan, what, currency, value.

        Amounts are in the smallest unit of their currency.
        """
        totals = {"mrr": self.mrr, "at risk": self.at_risk}
        for what, amounts in totals.items():
            for currency, amount in amounts.items():
                yield "total", "", what, currency, amount
        counts = {
            "users": self.users, "active users": self.active_users, "granted": self.granted,
            "purchased": self.purchased, "trialing": self.trialing, "past due": self.past_due,
        }  # fmt: skip
        for what, count in counts.items():
            yield "total", "", what, "", count
        for plan, statuses in self.plans.items():
            for status, count in statuses.items():
                yield "plan", plan, status, "", count
        for day, count in self.new_users.items():
            yield "new users", day, "", "", count
        for month in self.months:
            yield from month.as_rows()

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Figures:
        months = [Month(**month) for month in stored["months"]]
        return cls(**{**stored, "at": datetime.fromisoformat(stored["at"]), "months": months})


def latest() -> Figures | None:
    """Return the figures that were stored last, or None."""
    row = db.session.get(StoredReport, _NAME, populate_existing=True)
    try:
        return Figures.from_json(row.content) if row else None
    except (KeyError, TypeError, ValueError):  # another version stored it
        return None


@jobs.periodic_task(minutes=30)
def update_figures() -> None:
    """Compute the figures and store them."""
    refresh()


def refresh() -> Figures:
    """Compute the figures, store and return them."""
    figures = compute()
    reports.store(_NAME, figures.to_json())
    return figures


def refresh_soon() -> None:
    """Let a worker compute the figures, because it may take a minute."""
    database.release_connection()  # so that the next read sees what the job stores
    _UPDATE.enqueue()


_UPDATE = jobs.task(update_figures)


def compute() -> Figures:
    """Compute the figures as of now, from counts over all users and movements."""
    at = now()
    plans = _plans()
    since = at - _TRIALS
    trials = _count_by_kind(since, at)
    risk = _charged(("past_due",))
    return Figures(
        at=at,
        users=_count(select(func.count()).select_from(User)),
        new_users=_new_users(at),
        active_users=_count(
            select(func.count(distinct(Session.user_id))).where(
                Session.last_seen_at > at - timedelta(days=DAYS)
            )
        ),
        plans=plans,
        granted=_count(
            select(func.count())
            .select_from(User)
            .where(User.granted_plan.isnot(None))
            .where(User.granted_until.is_(None) | (User.granted_until > at))
        ),
        purchased=sum(1 for user in _users(User.stripe_purchases.isnot(None)) if user.purchased),
        mrr=_amounts(_sums(None, at)),
        charged=_add_up(_charged(("active", "past_due"))),
        trialing=sum(statuses.get("trialing", 0) for statuses in plans.values()),
        trials_converted=trials[movements.TRIAL_CONVERTED],
        trials_ended=trials[movements.TRIAL_ENDED],
        past_due=len(risk),
        at_risk=_add_up(risk),
        months=list(_months(at)),
    )


def _plans() -> dict[str, dict[str, int]]:
    counted = (
        select(User.stripe_price_id, User.stripe_subscription_status, func.count())
        .where(User.stripe_subscription_status.in_(LIVE_STATUSES))
        .group_by(User.stripe_price_id, User.stripe_subscription_status)
    )
    plans: dict[str, Counter[str]] = defaultdict(Counter)
    for price, status, number in db.session.execute(counted):
        sold = products.sold_as(price)
        plans[sold[0].id if sold else ""][str(status)] += number
    return {plan: dict(statuses) for plan, statuses in plans.items()}


def _new_users(at: datetime) -> dict[str, int]:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=before) for before in reversed(range(DAYS))]
    count = select(func.count()).select_from(User)
    return {
        f"{day:%Y-%m-%d}": _count(
            count.where(User.id >= first_id(day), User.id < first_id(day + timedelta(days=1)))
        )
        for day in days
    }


def _charged(statuses: tuple[str, ...]) -> list[movements.Monthly]:
    """Return what each subscription with these statuses pays per month."""
    rows = db.session.execute(
        select(User.stripe_subscription_status, User.stripe_recurring).where(
            User.stripe_subscription_status.in_(statuses)
        )
    )
    return [
        movements.monthly({"stripe_subscription_status": status, "stripe_recurring": recurring})
        for status, recurring in rows
    ]


def _months(at: datetime) -> Iterator[Month]:
    """Yield the months, oldest first; the last one is not over."""
    start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    starts = [start]
    for _ in range(MONTHS):
        start = (start - timedelta(days=1)).replace(day=1)
        starts.insert(0, start)
    mrr = Counter(_amounts(_sums(None, starts[0])))
    first = db.session.scalar(select(func.min(RevenueMovement.at))) or at
    for begin, end in zip(starts, [*starts[1:], at], strict=True):
        if end <= first and end != at:
            continue  # nothing had been sold yet
        kinds = _sums(begin, end)
        mrr.update(_amounts(kinds))
        trials = _count_by_kind(begin, end)
        yield Month(
            month=f"{begin:%Y-%m}",
            mrr=_known(mrr),
            movements={
                kind: _known(amounts) for kind, amounts in kinds.items() if any(amounts.values())
            },
            trials={kind: trials[kind] for kind in movements.TRIALS},
        )


def _sums(since: datetime | None, until: datetime) -> dict[str, Counter[str]]:
    """Return the amounts of movements by kind, then currency."""
    summed = select(
        RevenueMovement.kind, RevenueMovement.currency, func.sum(RevenueMovement.amount)
    ).group_by(RevenueMovement.kind, RevenueMovement.currency)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, currency, amount in db.session.execute(_between(summed, since, until)):
        kinds[kind][currency] += int(amount)
    return kinds


def _count_by_kind(since: datetime, until: datetime) -> Counter[str]:
    counted = select(RevenueMovement.kind, func.count()).group_by(RevenueMovement.kind)
    rows = db.session.execute(_between(counted, since, until)).all()
    return Counter({kind: number for kind, number in rows})


def _between(query: Any, since: datetime | None, until: datetime) -> Any:
    query = query.where(RevenueMovement.at < until)
    return query if since is None else query.where(RevenueMovement.at >= since)


def _amounts(kinds: dict[str, Counter[str]]) -> Amounts:
    total: Counter[str] = Counter()
    for amounts in kinds.values():
        total.update(amounts)
    return _known(total)


def _add_up(amounts: list[movements.Monthly]) -> Amounts:
    total: Counter[str] = Counter()
    for monthly in amounts:
        total[monthly.currency] += monthly.amount
    return _known(total)


def _known(amounts: Counter[str]) -> Amounts:
    """Drop amounts of 0, such as those of trials."""
    return {currency: amount for currency, amount in sorted(amounts.items()) if amount}


def _users(condition: Any) -> Iterator[User]:
    """Yield the users that match, in batches."""
    last = None
    while True:
        query = select(User).where(condition).order_by(User.id).limit(_BATCH)
        users = db.session.scalars(query if last is None else query.where(User.id > last)).all()
        yield from users
        if len(users) < _BATCH:
            return
        last = users[-1].id
        db.session.expunge_all()


def _count(query: Any) -> int:
    return db.session.scalar(query) or 0
