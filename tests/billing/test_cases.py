"""Cases that no other test shows: what Stripe can say, and what follows from it.

Through the front door: a signed event arrives at a server process, which asks Stripe. Where the
sandbox never says a thing, the gate in front of it does.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import stripe
import time_machine
from flask import Flask
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import ownership, subscriptions
from saas.database import now
from tests.billing import cases, stripe_side
from tests.billing.cases import case
from tests.billing.live import LiveShop, tell
from tests.visitor import eventually

_numbers = itertools.count(1)
PLACES = (Path(__file__).parent, Path(__file__).parents[1] / "users")


def test_every_clause_of_the_table_is_claimed_by_a_test() -> None:
    for place in PLACES:
        for path in place.glob("test_*.py"):
            importlib.import_module(f"tests.{place.name}.{path.stem}")

    every = [(row, clause) for row, clauses in cases.ROWS.items() for clause in clauses]
    assert [each for each in every if not cases.claimed[each]] == []


@pytest.fixture
def shop(live_on_sqlite: LiveShop) -> LiveShop:
    return live_on_sqlite


@pytest.fixture
def ann(shop: LiveShop) -> User:
    """Somebody who has just subscribed to Pro, and of whom we have not heard yet."""
    return stripe_side.subscriber(shop, f"case-{next(_numbers)}@example.com", synced=False)[0]


def at_stripe(shop: LiveShop) -> Any:
    return stripe_side.client(shop).v1


def subscription_of(shop: LiveShop, person: User) -> stripe.Subscription:
    listed = at_stripe(shop).subscriptions.list({"customer": person.stripe_customer_id})
    (found,) = listed.data
    return found  # type: ignore[no-any-return]


def ring(shop: LiveShop, person: User, kind: str = "customer.subscription.updated") -> str:
    """Stripe's doorbell: an event about the person's customer; what came of it."""
    subject = {"id": "sub_1", "object": "subscription", "customer": person.stripe_customer_id}
    return outcome(tell(shop, subject, id=f"evt_case_{next(_numbers)}", kind=kind))


def outcome(answer: requests.Response | None) -> str:
    assert answer is not None
    assert answer.status_code == 200, answer.text
    return str(answer.json()["outcome"])


def plan(shop: LiveShop, person: User) -> str:
    with shop.app.app_context():
        return accounts.get(person.email).plan.id


def stored(shop: LiveShop, person: User) -> User:
    return stripe_side.person(shop, person.email)


@contextmanager
def stripe_saying(shop: LiveShop, person: User, *bodies: dict[str, Any]) -> Iterator[None]:
    """Within this, Stripe lists these subscriptions for the person."""

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        asked = parse_qs(environ["QUERY_STRING"]).get("customer", [""])[0]
        if asked != person.stripe_customer_id or "/subscriptions" not in environ["PATH_INFO"]:
            return shop.gate.app(environ, start_response)
        body = {"object": "list", "data": bodies, "has_more": False, "url": "/v1/subscriptions"}
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    with shop.gate.answering(answer):
        yield


def as_it_is(shop: LiveShop, person: User, **changes: Any) -> dict[str, Any]:
    """The person's subscription as Stripe tells it, but for these changes."""
    found: dict[str, Any] = subscription_of(shop, person).to_dict(for_json=True)
    return {**found, **changes}


def items(*found: dict[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(found), "has_more": False, "url": "/v1/items"}


# --- events ---------------------------------------------------------------------------------------


@case(4)
def test_of_two_events_in_the_same_second_the_newest_state_wins(shop: LiveShop, ann: User) -> None:
    """Both carry the same second, and the later one arrives first."""
    with time_machine.travel(now(), tick=False):
        at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
        ring(shop, ann, "customer.subscription.deleted")
        ring(shop, ann, "customer.subscription.created")

    assert stored(shop, ann).stripe_subscription_status == "canceled"


@case(10, "another api_version")
def test_an_event_of_another_version_of_the_api_is_a_doorbell_too(
    shop: LiveShop, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "api_version", "2019-02-11")  # what `tell` writes into the event
    old = {"id": "sub_1", "object": "subscription", "customer": {"id": ann.stripe_customer_id}}

    assert outcome(tell(shop, old, id=f"evt_case_{next(_numbers)}")) == "applied"
    assert plan(shop, ann) == "pro"


@case(11, "same email at two people")
def test_another_customer_with_the_same_address_changes_nothing(shop: LiveShop, ann: User) -> None:
    ring(shop, ann)
    twin = at_stripe(shop).customers.create({"email": ann.email})
    subject = {"id": "sub_1", "object": "subscription", "customer": twin.id}

    assert outcome(tell(shop, subject, id=f"evt_case_{next(_numbers)}")) == "not ours"
    assert stored(shop, ann).stripe_customer_id == ann.stripe_customer_id
    assert plan(shop, ann) == "pro"


@case(22)
@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("invoice.created", {"id": "in_1", "object": "invoice"}),
        ("invoice.paid", {"id": "in_1", "object": "invoice", "parent": None}),
        ("invoice.upcoming", {"object": "invoice"}),
    ],
)
def test_invoices_of_every_kind_are_200(
    shop: LiveShop, ann: User, kind: str, subject: dict[str, Any]
) -> None:
    """Stripe holds a draft back for days when invoice.created is not answered with 2xx."""
    subject = {**subject, "customer": ann.stripe_customer_id}

    assert outcome(tell(shop, subject, id=f"evt_case_{next(_numbers)}", kind=kind)) in (
        "applied", "ignored",
    )  # fmt: skip


@case(23)
def test_a_refund_and_a_dispute_leave_access_to_the_subscription(shop: LiveShop, ann: User) -> None:
    ring(shop, ann)
    (charge,) = at_stripe(shop).charges.list({"customer": ann.stripe_customer_id}).data
    at_stripe(shop).refunds.create({"charge": charge.id})
    told = charge.to_dict(for_json=True)
    dispute = {"id": "dp_1", "object": "dispute", "charge": charge.id}

    for kind, subject, said in (
        ("charge.refunded", told, "applied"),
        ("charge.dispute.created", dispute, "not ours"),  # a dispute names no customer
    ):
        assert outcome(tell(shop, subject, id=f"evt_case_{next(_numbers)}", kind=kind)) == said

    assert plan(shop, ann) == "pro"
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
    ring(shop, ann)
    assert plan(shop, ann) == "starter"


@case(25)
def test_an_address_changed_at_stripe_signs_nobody_in(shop: LiveShop, ann: User) -> None:
    changed = at_stripe(shop).customers.update(
        str(ann.stripe_customer_id), {"email": "eve@example.com"}
    )

    subject = changed.to_dict(for_json=True)
    tell(shop, subject, id=f"evt_case_{next(_numbers)}", kind="customer.updated")
    ring(shop, ann)

    assert stored(shop, ann).email == ann.email
    with shop.app.app_context():
        assert accounts.find("eve@example.com") is None


# --- what Stripe says of the customer -------------------------------------------------------------


@case(12, "404")
def test_a_customer_that_stripe_does_not_know_is_forgotten(shop: LiveShop, ann: User) -> None:
    ring(shop, ann)
    with shop.app.app_context(), database.writing():
        lost = f"cus_lost{next(_numbers)}"
        database.execute(update(User).where(User.id == ann.id).values(stripe_customer_id=lost))
    lost_ann = stored(shop, ann)

    assert ring(shop, lost_ann) == "applied"

    assert stored(shop, ann).stripe_customer_id is None
    assert plan(shop, ann) == "starter"


@case(13, "the return before the webhook", "the webhook never")
def test_who_comes_back_has_the_plan_though_no_event_has_arrived(shop: LiveShop, ann: User) -> None:
    browser, _ = shop.signed_in(ann)
    with browser:
        answer = shop.ask("GET", "/billing/return", 0, browser)

    assert answer is not None
    assert answer.status_code == 303
    assert plan(shop, ann) == "pro"
    assert ring(shop, ann) == "applied"  # the webhook after all
    assert plan(shop, ann) == "pro"


@case(15)
def test_the_end_of_an_old_subscription_does_not_end_the_new_one(shop: LiveShop, ann: User) -> None:
    old = subscription_of(shop, ann)
    at_stripe(shop).subscriptions.cancel(old.id)
    new = subscribe(shop, ann, shop.price["business", "monthly"])
    ring(shop, ann, "customer.subscription.created")

    ring(shop, ann, "customer.subscription.deleted")  # of the old one, and late

    assert stored(shop, ann).stripe_subscription_id == new
    assert plan(shop, ann) == "business"


def subscribe(shop: LiveShop, person: User, price: str, **more: Any) -> str:
    with shop.app.app_context():
        marks = ownership.metadata_of(person)
    made = at_stripe(shop).subscriptions.create(
        {
            "customer": person.stripe_customer_id, "items": [{"price": price}], "metadata": marks,
            **more,
        }
    )  # fmt: skip
    return str(made.id)


# --- Checkout -------------------------------------------------------------------------------------


@case(16, "complete but unpaid", "async payment succeeded", "async payment failed")
@pytest.mark.parametrize(
    ("bank", "kind", "ends_with"),
    [
        ("000123456789", "checkout.session.async_payment_succeeded", "pro"),
        ("000111111116", "checkout.session.async_payment_failed", "starter"),
    ],
)
def test_a_payment_that_takes_days_gives_the_plan_when_it_is_there(
    shop: LiveShop, bank: str, kind: str, ends_with: str
) -> None:
    with shop.app.app_context():
        bob = accounts.sign_up(f"case-{next(_numbers)}@example.com")
    session = pay(shop, bob, number=bank)
    bob = stored(shop, bob)
    assert session.payment_status == "unpaid"
    outcome(tell_of(shop, session, "checkout.session.completed"))
    assert plan(shop, bob) == "starter"

    advance(shop, bob, "week")
    outcome(tell_of(shop, session, kind))

    assert plan(shop, bob) == ends_with


@case(16, "expired session", "mode payment or setup")
@pytest.mark.parametrize("mode", ["payment", "setup", "subscription"])
def test_a_session_that_sells_no_plan_gives_none(shop: LiveShop, mode: str) -> None:
    with shop.app.app_context():
        bob = accounts.sign_up(f"case-{next(_numbers)}@example.com")
        customer = at_stripe(shop).customers.create({"email": bob.email}).id
        with database.writing():
            database.execute(
                update(User).where(User.id == bob.id).values(stripe_customer_id=customer)
            )
    session = {
        "id": "cs_test_1", "object": "checkout.session", "customer": customer, "mode": mode,
        "status": "expired" if mode == "subscription" else "complete", "payment_status": "paid",
    }  # fmt: skip
    kind = "checkout.session.expired" if mode == "subscription" else "checkout.session.completed"

    answer = tell(shop, session, id=f"evt_case_{next(_numbers)}", kind=kind)

    assert outcome(answer) in ("applied", "ignored")
    assert plan(shop, bob) == "starter"


def pay(shop: LiveShop, person: User, number: str) -> stripe.checkout.Session:
    """Choose Pro and pay on the hosted page; the session as it is then."""
    browser, header = shop.signed_in(person)
    with browser:
        data = {"plan": "pro", "interval": "monthly"}
        headers = {**header, "Origin": shop.url}
        chosen = shop.ask("POST", "/billing/checkout", 0, browser, data=data, headers=headers)
    assert chosen is not None
    page = chosen.headers["Location"]
    card = {"number": number, "expiry": "12 / 34", "cvc": "123"}
    requests.post(page, data=card, timeout=30, allow_redirects=False)
    return at_stripe(shop).checkout.sessions.retrieve(page.rsplit("/", 1)[1])  # type: ignore[no-any-return]


def tell_of(shop: LiveShop, session: Any, kind: str) -> requests.Response | None:
    subject = session.to_dict(for_json=True)
    return tell(shop, subject, id=f"evt_case_{next(_numbers)}", kind=kind)


def advance(shop: LiveShop, person: User, step: str) -> None:
    """Let the person's time at Stripe pass, to the end of its way."""
    key = {"Authorization": f"Bearer {shop.key}"}
    body = {"customer": person.stripe_customer_id, "step": step}
    control = f"{shop.sandbox}/stripe/control"
    clock = requests.post(f"{control}/advance", json=body, headers=key, timeout=30).json()
    eventually(
        lambda: (
            requests.get(f"{control}/clocks/{clock['id']}", headers=key, timeout=30).json()[
                "status"
            ]
            == "ready"
        )
    )


# --- states ---------------------------------------------------------------------------------------


@case(17)
@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({"status": "incomplete"}, "starter"),
        ({"status": "incomplete_expired"}, "starter"),
        ({"status": "trialing"}, "pro"),
        ({"status": "past_due"}, "pro"),  # within the grace
        ({"status": "unpaid"}, "starter"),
        ({"status": "paused"}, "starter"),
        ({"status": "active", "pause_collection": {"behavior": "void", "resumes_at": None}}, "pro"),
        ({"status": "brand_new"}, "starter"),
    ],
    ids=lambda given: given.get("status") if isinstance(given, dict) else given,
)
def test_each_status_gives_or_takes_as_written(
    shop: LiveShop, ann: User, said: dict[str, Any], given: str
) -> None:
    with stripe_saying(shop, ann, as_it_is(shop, ann, **said)):
        assert ring(shop, ann) == "applied"

        assert plan(shop, ann) == given
        assert stored(shop, ann).stripe_subscription_status == said["status"]


@case(18)
def test_an_end_can_be_planned_called_off_and_made_at_once(shop: LiveShop, ann: User) -> None:
    found = subscription_of(shop, ann)
    change = at_stripe(shop).subscriptions.update

    change(found.id, {"cancel_at_period_end": True})
    ring(shop, ann)
    person = stored(shop, ann)
    assert person.stripe_cancel_at == person.stripe_current_period_end
    assert plan(shop, ann) == "pro"

    change(found.id, {"cancel_at_period_end": False})
    ring(shop, ann)
    assert stored(shop, ann).stripe_cancel_at is None

    day = int((now() + timedelta(days=9)).timestamp())
    change(found.id, {"cancel_at": day})
    ring(shop, ann)
    assert stored(shop, ann).stripe_cancel_at.timestamp() == day  # type: ignore[union-attr]
    assert plan(shop, ann) == "pro"

    at_stripe(shop).subscriptions.cancel(found.id)
    ring(shop, ann)
    assert plan(shop, ann) == "starter"


@case(19, "monthly to yearly with proration")
def test_a_change_to_yearly_with_several_lines_is_the_price_stripe_says(
    shop: LiveShop, ann: User
) -> None:
    found = subscription_of(shop, ann)
    yearly = shop.price["pro", "yearly"]
    item = found["items"].data[0].id
    at_stripe(shop).subscriptions.update(
        found.id,
        {"items": [{"id": item, "price": yearly}], "proration_behavior": "always_invoice"},
    )

    ring(shop, ann)

    newest = at_stripe(shop).invoices.list({"customer": ann.stripe_customer_id}).data[0]
    assert len(newest.lines.data) > 1
    assert stored(shop, ann).stripe_price_id == yearly
    assert plan(shop, ann) == "pro"


@case(19, "pending update")
def test_a_change_that_waits_for_its_payment_is_no_change_yet(shop: LiveShop, ann: User) -> None:
    found = subscription_of(shop, ann)
    failing(shop, ann)
    item = found["items"].data[0].id
    waiting = at_stripe(shop).subscriptions.update(
        found.id,
        {
            "items": [{"id": item, "price": shop.price["business", "yearly"]}],
            "payment_behavior": "pending_if_incomplete",
            "proration_behavior": "always_invoice",
        },
    )
    assert waiting.pending_update

    ring(shop, ann)

    assert plan(shop, ann) == "pro"
    assert stored(shop, ann).stripe_price_id == shop.price["pro", "monthly"]


def failing(shop: LiveShop, person: User, kind: str = "pm_card_chargeCustomerFail") -> None:
    """Replace the person's card by one whose charges fail."""
    customer = str(person.stripe_customer_id)
    card = at_stripe(shop).payment_methods.attach(kind, {"customer": customer})
    at_stripe(shop).customers.update(
        customer, {"invoice_settings": {"default_payment_method": card.id}}
    )


@case(19, "scheduled downgrade")
def test_a_downgrade_that_is_planned_counts_from_its_day(shop: LiveShop) -> None:
    email = f"case-{next(_numbers)}@example.com"
    bob, subscription = stripe_side.subscriber(shop, email, "business", synced=False)
    plan_a_downgrade(shop, subscription)
    ring(shop, bob)
    assert plan(shop, bob) == "business"

    advance(shop, bob, "renewal")
    ring(shop, bob)

    assert plan(shop, bob) == "pro"


def plan_a_downgrade(shop: LiveShop, subscription: str) -> None:
    schedule = at_stripe(shop).subscription_schedules.create({"from_subscription": subscription})
    (phase,) = schedule.phases
    at_stripe(shop).subscription_schedules.update(
        schedule.id,
        {
            "phases": [
                {
                    "items": [{"price": shop.price["business", "monthly"], "quantity": 1}],
                    "start_date": phase.start_date, "end_date": phase.end_date,
                },
                {
                    "items": [{"price": shop.price["pro", "monthly"], "quantity": 1}],
                    "duration": {"interval": "month", "interval_count": 1},
                    "proration_behavior": "none",
                },
            ]
        },
    )  # fmt: skip


# --- prices and items -----------------------------------------------------------------------------


def item(shop: LiveShop, person: User, price: str, days: int = 30, **more: Any) -> dict[str, Any]:
    """An item like the person's own, with another price and its own period."""
    (own,) = as_it_is(shop, person)["items"]["data"]
    end = int((now() + timedelta(days=days)).timestamp())
    return {
        **own, "price": {**own["price"], "id": price}, "current_period_end": end, **more
    }  # fmt: skip


@case(20, "a second, older price")
def test_an_older_price_gives_its_plan_too(
    shop: LiveShop, ann: User, make_app: Callable[..., Flask]
) -> None:
    ring(shop, ann)
    sold = {**shop.env, "SANDBOX_URL": shop.sandbox}
    sold["SANDBOX_STRIPE_PRO_MONTHLY_PRICE_ID"] = f"price_new,{shop.price['pro', 'monthly']}"
    raised = make_app(**sold)

    with raised.app_context():
        subscriptions.sync(ann.id, cause="a raised price")
        assert accounts.get(ann.email).plan.id == "pro"


@case(20, "unknown price", "no items", "quantity 0 or none")
@pytest.mark.parametrize(
    ("price", "more", "given"),
    [
        ("price_of_nobody", {}, "starter"),
        (None, {}, "starter"),
        ("pro", {"quantity": 0}, "pro"),
        ("pro", {"quantity": None}, "pro"),
    ],
    ids=["unknown price", "no items", "quantity 0", "no quantity"],
)
def test_unusual_items_give_what_is_known_and_crash_nothing(
    shop: LiveShop, ann: User, price: str | None, more: dict[str, Any], given: str
) -> None:
    known = shop.price["pro", "monthly"]
    found = [item(shop, ann, known if price == "pro" else price, **more)] if price else []

    with stripe_saying(shop, ann, as_it_is(shop, ann, items=items(*found))):
        assert ring(shop, ann) == "applied"

    assert plan(shop, ann) == given


@case(20, "several items", "items with different periods")
def test_of_several_items_the_plan_s_own_period_counts(shop: LiveShop, ann: User) -> None:
    extra = item(shop, ann, "price_extra", days=3)
    main = item(shop, ann, shop.price["business", "yearly"], days=365)

    with stripe_saying(shop, ann, as_it_is(shop, ann, items=items(extra, main))):
        ring(shop, ann)

    person = stored(shop, ann)
    assert plan(shop, ann) == "business"
    assert person.stripe_current_period_end.timestamp() == main["current_period_end"]  # type: ignore[union-attr]


@case(20, "more than 10 subscriptions")
def test_the_living_one_is_found_among_many_that_have_ended(shop: LiveShop, ann: User) -> None:
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
    living = subscribe(shop, ann, shop.price["business", "monthly"])
    for _ in range(12):
        at_stripe(shop).subscriptions.cancel(subscribe(shop, ann, shop.price["pro", "monthly"]))

    ring(shop, ann)

    assert stored(shop, ann).stripe_subscription_id == living


# --- money that does not come ---------------------------------------------------------------------


@case(21, "recovery restores")
def test_what_failed_and_is_paid_is_as_before(shop: LiveShop, ann: User) -> None:
    failing(shop, ann)
    advance(shop, ann, "renewal")
    ring(shop, ann, "invoice.payment_failed")
    assert stored(shop, ann).stripe_subscription_status == "past_due"
    assert stored(shop, ann).stripe_past_due_since is not None

    failing(shop, ann, "pm_card_visa")  # a card that works again
    open_ones = {"customer": ann.stripe_customer_id, "status": "open"}
    for invoice in at_stripe(shop).invoices.list(open_ones).data:
        at_stripe(shop).invoices.pay(invoice.id)
    ring(shop, ann, "invoice.paid")

    assert stored(shop, ann).stripe_subscription_status == "active"
    assert stored(shop, ann).stripe_past_due_since is None
    assert plan(shop, ann) == "pro"


# --- time -----------------------------------------------------------------------------------------


@case(28)
@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_that_jumps_decides_nothing(shop: LiveShop, ann: User, years: int) -> None:
    ring(shop, ann)
    jump = now() + timedelta(days=365 * years)
    with time_machine.travel(jump, tick=True), shop.app.app_context():
        assert accounts.get(ann.email).plan.id == "pro"
        subscriptions.sync(ann.id, cause="in another year")
        assert accounts.get(ann.email).plan.id == "pro"
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)

    ring(shop, ann)  # what was written in another year stands in nobody's way

    assert plan(shop, ann) == "starter"
