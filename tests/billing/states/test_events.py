"""Events of every kind, and their effects."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import stripe
import time_machine
from sqlalchemy import update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import subscriptions
from saas.database import now
from tests.billing.cases import case
from tests.billing.states.actions import (
    at_stripe,
    deliver_update,
    new_event,
    outcome,
    plan,
    stored,
    subscribe,
    subscription_of,
)
from tests.harness.live_shop import LiveShop, deliver_event


@case(4)
def test_after_two_events_of_the_same_second_the_newest_state_is_stored(
    shop: LiveShop, ann: User
) -> None:
    """Both have the same timestamp, and the later one arrives first."""
    with time_machine.travel(now(), tick=False):
        at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
        deliver_update(shop, ann, "customer.subscription.deleted")
        deliver_update(shop, ann, "customer.subscription.created")

    assert stored(shop, ann).stripe_subscription_status == "canceled"


@case(10, "another api_version")
def test_an_event_of_another_api_version_triggers_a_sync_too(
    shop: LiveShop, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stripe, "api_version", "2019-02-11"
    )  # as `deliver_event` writes into the event
    old = {"id": "sub_1", "object": "subscription", "customer": {"id": ann.stripe_customer_id}}

    assert outcome(deliver_event(shop, old, id=new_event())) == "applied"
    assert plan(shop, ann) == "solo"


@case(11, "same email of two users")
def test_another_customer_with_the_same_email_changes_nothing(shop: LiveShop, ann: User) -> None:
    deliver_update(shop, ann)
    twin = at_stripe(shop).customers.create({"email": ann.email})
    subject = {"id": "sub_1", "object": "subscription", "customer": twin.id}

    assert outcome(deliver_event(shop, subject, id=new_event())) == "not ours"
    assert stored(shop, ann).stripe_customer_id == ann.stripe_customer_id
    assert plan(shop, ann) == "solo"


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
    """Stripe delays a draft for days when invoice.created gets no 2xx response."""
    subject = {**subject, "customer": ann.stripe_customer_id}

    assert outcome(deliver_event(shop, subject, id=new_event(), kind=kind)) in (
        "applied", "ignored",
    )  # fmt: skip


@case(23)
def test_refunds_and_disputes_do_not_change_access(shop: LiveShop, ann: User) -> None:
    deliver_update(shop, ann)
    (charge,) = at_stripe(shop).charges.list({"customer": ann.stripe_customer_id}).data
    at_stripe(shop).refunds.create({"charge": charge.id})
    output = charge.to_dict(for_json=True)
    dispute = {"id": "dp_1", "object": "dispute", "charge": charge.id}

    for kind, subject, message in (
        ("charge.refunded", output, "applied"),
        ("charge.dispute.created", dispute, "not ours"),  # a dispute names no customer
    ):
        assert outcome(deliver_event(shop, subject, id=new_event(), kind=kind)) == message

    assert plan(shop, ann) == "solo"
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)
    deliver_update(shop, ann)
    assert plan(shop, ann) == "hobby"


@case(25)
def test_an_email_changed_at_stripe_does_not_change_the_sign_in(shop: LiveShop, ann: User) -> None:
    changed = at_stripe(shop).customers.update(
        str(ann.stripe_customer_id), {"email": "eve@example.com"}
    )

    subject = changed.to_dict(for_json=True)
    deliver_event(shop, subject, id=new_event(), kind="customer.updated")
    deliver_update(shop, ann)

    assert stored(shop, ann).email == ann.email
    with shop.app.app_context():
        assert accounts.find_by_email("eve@example.com") is None


@case(12, "404")
def test_a_customer_unknown_to_stripe_is_removed_from_the_user(shop: LiveShop, ann: User) -> None:
    deliver_update(shop, ann)
    with shop.app.app_context(), database.write_transaction():
        lost = f"cus_lost_{ann.id}"
        database.execute(update(User).where(User.id == ann.id).values(stripe_customer_id=lost))
    lost_ann = stored(shop, ann)

    assert deliver_update(shop, lost_ann) == "applied"

    assert stored(shop, ann).stripe_customer_id is None
    assert plan(shop, ann) == "hobby"


@case(15)
def test_the_end_of_an_old_subscription_does_not_end_the_new_one(shop: LiveShop, ann: User) -> None:
    old = subscription_of(shop, ann)
    at_stripe(shop).subscriptions.cancel(old.id)
    new = subscribe(shop, ann, shop.price["team", "monthly"])
    deliver_update(shop, ann, "customer.subscription.created")

    deliver_update(shop, ann, "customer.subscription.deleted")  # of the old subscription, and late

    assert stored(shop, ann).stripe_subscription_id == new
    assert plan(shop, ann) == "team"


@case(28)
@pytest.mark.parametrize("years", [1, -1])
def test_a_jump_of_the_clock_does_not_change_access(shop: LiveShop, ann: User, years: int) -> None:
    deliver_update(shop, ann)
    jump = now() + timedelta(days=365 * years)
    with time_machine.travel(jump, tick=True), shop.app.app_context():
        assert accounts.get_by_email(ann.email).plan.id == "solo"
        subscriptions.sync(ann.id, cause="in another year")
        assert accounts.get_by_email(ann.email).plan.id == "solo"
    at_stripe(shop).subscriptions.cancel(subscription_of(shop, ann).id)

    deliver_update(shop, ann)  # timestamps of another year do not block later writes

    assert plan(shop, ann) == "hobby"
