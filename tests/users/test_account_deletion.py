"""Account deletion: first Stripe, then our rows, so that no deleted user is still charged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import stripe
import time_machine
from flask import Flask, request
from sqlalchemy import func, select, update

from saas import database
from saas.auth import accounts
from saas.auth.models import EmailChange, Session, SignInLink, User
from saas.billing import customers
from saas.billing.models import ClosedAccount, SubscriptionChange
from saas.database import db, now
from saas.plans import Trial
from saas.users import account_deletion
from tests.billing.cases import case
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.mailbox import link_to
from tests.harness.sample_product.catalogue import SOLO
from tests.harness.servers import free_port, serving
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def rows(shop: Shop, model: type) -> int:
    with shop.app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def status_at_stripe(shop: Shop, subscription: str) -> str:
    return str(stripe_account.client(shop).v1.subscriptions.retrieve(subscription).status)


@both_databases
@case(26, "deleted while subscribed")
def test_deletion_cancels_at_stripe_and_leaves_only_a_tombstone(
    shop: Shop, visitor: Visitor
) -> None:
    ann, subscription = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/delete", confirmation=" Ann@example.com ")

    assert page.path == "/"
    assert "Your account was deleted" in page.text
    assert status_at_stripe(shop, subscription) == "canceled"
    customer = stripe_account.client(shop).v1.customers.retrieve(str(ann.stripe_customer_id))
    assert customer.deleted is True
    assert [rows(shop, item) for item in (User, Session, SignInLink, SubscriptionChange)] == [0] * 4
    with shop.app.app_context():
        tombstone = db.session.scalars(select(ClosedAccount)).one()
        assert tombstone.user_id == ann.id
        assert tombstone.stripe_customer_id == ann.stripe_customer_id
    assert visitor.visit("/dashboard").path == "/login"


@pytest.mark.parametrize("typed", ["", "delete", "eve@example.com"])
def test_deletion_requires_the_typed_email(typed: str, shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/delete", confirmation=typed)

    assert page.status == 422
    assert "Type ann@example.com to confirm." in page.text
    assert rows(shop, User) == 1


@pytest.mark.parametrize("typed", ["ada@bücher.example", "Ada@xn--bcher-kva.example\u200b"])
def test_deletion_accepts_both_spellings_of_a_domain(
    typed: str, shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ada@xn--bcher-kva.example")
    page = visitor.visit("/dashboard/settings")
    assert "Your address is ada@bücher.example." in page.text
    assert "xn--" not in page.text

    page = visitor.submit("/dashboard/settings/delete", confirmation=typed)

    assert "Your account was deleted" in page.text
    assert rows(shop, User) == 0


def test_delete_api_user_deletes_the_account_too(shop: Shop, visitor: Visitor) -> None:
    _, subscription = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    token = visitor.visit("/dashboard/settings").forms[0].fields["csrf_token"]

    refused = visitor.request("DELETE", "/api/user")
    response = visitor.request("DELETE", "/api/user", headers={"X-CSRFToken": token})

    assert refused.status_code == 400
    assert response.status_code == 200
    assert response.json() == {"deleted": True}
    assert status_at_stripe(shop, subscription) == "canceled"
    assert visitor.request("GET", "/api/user").status_code == 401
    assert rows(shop, User) == 0


@case(26, "with Stripe down")
def test_during_a_stripe_outage_nothing_is_deleted_and_the_page_says_so(
    make_app: Callable[..., Flask], shop: Shop, visitor: Visitor
) -> None:
    _, subscription = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://localhost:{free_port()}"
    )
    with serving(cut_off) as url:
        visitor.base = url
        visitor.visit("/dashboard/settings")
        page = visitor.submit("/dashboard/settings/delete", confirmation="ann@example.com")
        token = page.forms[0].fields["csrf_token"]
        response = visitor.request("DELETE", "/api/user", headers={"X-CSRFToken": token})

        assert page.status == 409
        assert "Nothing was deleted" in page.text
        assert response.status_code == 409
        assert response.json()["error"]["code"] == "stripe_unreachable"
        visitor.base = shop.url

    ann = shop.user("ann@example.com")
    assert not ann.is_closing
    assert ann.is_subscribed
    assert status_at_stripe(shop, subscription) == "active"


def test_no_checkout_starts_during_account_deletion(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(closing_at=now()))

    page = visitor.submit("/billing/checkout", having={"plan": "solo"})

    assert page.path == "/dashboard/billing"
    assert "being deleted" in page.text
    assert stripe_account.client(shop).v1.customers.list().data == []


def test_an_open_checkout_is_expired_first(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/pricing")
    visitor.submit("/billing/checkout", having={"plan": "solo"}, follow=False)
    customer = shop.user("ann@example.com").stripe_customer_id
    assert customer
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/delete", confirmation="ann@example.com")

    (session,) = stripe_account.client(shop).v1.checkout.sessions.list({"customer": customer}).data
    assert session.status == "expired"


def test_a_periodic_task_finishes_a_deletion_after_a_crash(shop: Shop) -> None:
    _, subscription = stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        with database.write_transaction():
            database.execute(update(User).values(closing_at=now()))
        account_deletion.finish_deletions()
        assert rows(shop, User) == 1  # another process may still be deleting it

        with time_machine.travel(now() + timedelta(minutes=5)):
            account_deletion.finish_deletions()

    assert rows(shop, User) == 0
    assert status_at_stripe(shop, subscription) == "canceled"


class Failing(AbstractContextManager[None]):
    """A proxy in front of Stripe that fails requests of one method."""

    def __init__(self, sandbox: str, verb: str, path: str) -> None:
        self.sandbox, self.verb, self.path = sandbox, verb, path
        self.app = Flask("proxy")
        self.app.add_url_rule(
            "/<path:path>", view_func=self._pass_on, methods=["GET", "POST", "DELETE"]
        )

    def _pass_on(self, path: str) -> Any:
        if request.method == self.verb and self.path in path:
            return {"error": {"type": "api_error", "message": "down"}}, 500
        response = requests.request(
            request.method, f"{self.sandbox}/{path}", params=request.args,
            data=request.get_data(), timeout=10,
            headers={
                name: value for name, value in request.headers.items()
                if name in ("Authorization", "Content-Type", "Stripe-Version", "Idempotency-Key")
            },
        )  # fmt: skip
        return response.content, response.status_code, {"Content-Type": "application/json"}

    def __enter__(self) -> Any:
        self._serving = serving(self.app)
        return self._serving.__enter__()

    def __exit__(self, *raised: Any) -> None:
        self._serving.__exit__(*raised)


def test_a_stripe_outage_during_deletion_is_explained_correctly(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    ann, subscription = stripe_account.subscriber(shop, "ann@example.com")
    with Failing(shop.sandbox, "DELETE", "v1/customers/") as url:
        half_way = make_app(SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=url)
        with half_way.app_context(), pytest.raises(account_deletion.DeletionFailed) as caught:
            account_deletion.delete_account(ann)

    assert caught.value.code == "closing"
    assert "you won't be charged again" in str(caught.value)
    assert status_at_stripe(shop, subscription) == "canceled"
    with shop.app.app_context(), time_machine.travel(now() + timedelta(minutes=5)):
        account_deletion.finish_deletions()
    assert rows(shop, User) == 0


def test_a_second_attempt_does_not_cancel_an_announced_deletion(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    with Failing(shop.sandbox, "DELETE", "v1/customers/") as url:
        half_way = make_app(SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=url)
        with half_way.app_context(), pytest.raises(account_deletion.DeletionFailed):
            account_deletion.delete_account(ann)
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://localhost:{free_port()}"
    )

    with cut_off.app_context(), pytest.raises(account_deletion.DeletionFailed) as caught:
        account_deletion.delete_account(ann)

    assert caught.value.code == "closing"
    assert "already being deleted" in str(caught.value)
    with shop.app.app_context(), time_machine.travel(now() + timedelta(minutes=5)):
        account_deletion.finish_deletions()
    assert rows(shop, User) == 0


def test_an_account_that_cannot_be_deleted_does_not_block_others(
    make_app: Callable[..., Flask], shop: Shop
) -> None:
    stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        accounts.get_or_create("bob@example.com")
        with database.write_transaction():
            database.execute(update(User).values(closing_at=now() - timedelta(minutes=9)))
    cut_off = make_app(
        SANDBOX_STRIPE_API_KEY=shop.key, SANDBOX_URL=f"http://localhost:{free_port()}"
    )

    with cut_off.app_context():
        account_deletion.finish_deletions()

    with shop.app.app_context():
        assert [user.email for user in accounts.list_all()] == ["ann@example.com"]


@case(11, "user deleted")
def test_events_after_the_deletion_are_200(shop: Shop) -> None:
    ann, subscription = stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        account_deletion.delete_account(ann)

    response = stripe_account.send_event(
        shop,
        "customer.subscription.deleted",
        {"id": subscription, "object": "subscription", "customer": ann.stripe_customer_id},
    )

    assert response.status_code == 200


def test_a_deleted_customer_cannot_be_charged(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        account_deletion.delete_account(ann)

    with pytest.raises(stripe.InvalidRequestError):
        stripe_account.client(shop).v1.subscriptions.create(
            {
                "customer": str(ann.stripe_customer_id),
                "items": [{"price": shop.price["solo", "monthly"]}],
            }
        )


def test_one_administrator_stays_when_two_delete_their_accounts_at_once(
    shop: Shop,
) -> None:
    with shop.app.app_context():
        for email in ("ann@example.com", "bob@example.com"):
            accounts.get_or_create(email, role="admin")

    def delete_account(email: str) -> str:
        with shop.app.app_context():
            try:
                account_deletion.delete_account(accounts.get_by_email(email))
            except account_deletion.DeletionFailed as error:
                return error.code
        return "left"

    with ThreadPoolExecutor(2) as pool:
        responses = sorted(pool.map(delete_account, ("ann@example.com", "bob@example.com")))

    assert responses == ["last_admin", "left"]


def test_an_installation_has_one_id(shop: Shop) -> None:
    with shop.app.app_context():
        shop.app.extensions.pop("installation", None)
        first = customers.installation_key()
        shop.app.extensions.pop("installation", None)

        assert customers.installation_key() == first


@both_databases
def test_a_returning_user_with_the_same_mailbox_gets_no_second_trial(
    shop: Shop, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = dataclasses.replace(SOLO, trial=Trial(days=14))
    visitor.sign_in("ann@gmail.com")
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(trial_used_at=now()))
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/delete", confirmation="ann@gmail.com")

    with shop.app.app_context():
        again = accounts.get_or_create("a.nn+again@gmail.com")
        assert again.trial(offer) is None
        assert accounts.get_or_create("eve@example.com").trial(offer) == Trial(days=14)
        key = shop.app.config["SECRET_KEY"]
        monkeypatch.setitem(shop.app.config, "SECRET_KEY", "another" * 6)
        assert again.trial(offer) == Trial(days=14)
        monkeypatch.setitem(shop.app.config, "SECRET_KEY_FALLBACKS", [key])
        assert again.trial(offer) is None


@both_databases
def test_a_deleted_user_s_email_is_removed_from_change_requests_of_others(
    shop: Shop, visitor: Visitor
) -> None:
    eve = shop.visitor()
    eve.sign_in("eve@example.com")
    eve.visit("/dashboard/settings")
    eve.submit("/dashboard/settings/email", email="ann@gmail.com")
    visitor.sign_in("ann@gmail.com")
    assert rows(shop, EmailChange) == 1

    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/delete", confirmation="ann@gmail.com")

    assert rows(shop, EmailChange) == 0


def test_an_email_change_before_the_deletion_gives_no_second_trial(
    shop: Shop, visitor: Visitor
) -> None:
    offer = dataclasses.replace(SOLO, trial=Trial(days=14))
    visitor.sign_in("ann@example.com")
    with shop.app.app_context(), database.write_transaction():
        database.execute(update(User).values(trial_used_at=now()))
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/email", email="ann@example.org")
    path = urlsplit(link_to(visitor, "ann@example.org")).path
    visitor.visit(path)
    visitor.submit(path)
    visitor.visit("/dashboard/settings")
    page = visitor.submit("/dashboard/settings/delete", confirmation="ann@example.org")
    assert "Your account was deleted" in page.text

    with shop.app.app_context():
        for email in ("ann@example.com", "ann@example.org"):
            assert accounts.get_or_create(email).trial(offer) is None


def test_a_trial_counts_even_if_its_webhook_is_missing(shop: Shop, visitor: Visitor) -> None:
    offer = dataclasses.replace(SOLO, trial=Trial(days=14))
    visitor.sign_in("ann@example.com")
    at_stripe = stripe_account.client(shop).v1
    for endpoint in at_stripe.webhook_endpoints.list().data:
        at_stripe.webhook_endpoints.delete(endpoint.id)
    stripe_account.subscriber(shop, "ann@example.com", synced=False, trial_days=14)
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/delete", confirmation="ann@example.com")

    with shop.app.app_context():
        assert accounts.get_or_create("ann@example.com").trial(offer) is None


def test_earlier_emails_are_deleted_with_the_account(shop: Shop, visitor: Visitor) -> None:
    eve = shop.visitor()
    eve.sign_in("eve@example.com")
    eve.visit("/dashboard/settings")
    eve.submit("/dashboard/settings/email", email="ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/email", email="ann@example.org")
    path = urlsplit(link_to(visitor, "ann@example.org")).path
    visitor.visit(path)
    visitor.submit(path)
    assert rows(shop, EmailChange) == 2

    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/delete", confirmation="ann@example.org")

    assert rows(shop, EmailChange) == 0


def test_deletion_sends_a_limited_number_of_requests_to_stripe(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    page = visitor.visit("/dashboard/settings")
    typed = {**page.form("/dashboard/settings/delete").fields, "confirmation": "ann@example.com"}
    with shop.app.app_context():
        customers.ensure_customer(accounts.get_by_email("ann@example.com"))
        cut_off = {"STRIPE_API_BASE": f"http://localhost:{free_port()}"}
    shop.app.config.update(cut_off)
    shop.app.extensions.pop("stripe", None)

    asked = [
        visitor.request("POST", "/dashboard/settings/delete", data=typed).status_code
        for _ in range(31)
    ]

    assert asked == [409] * 30 + [429]
