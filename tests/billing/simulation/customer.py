"""A simulated subscriber. Every step is a method and may be refused."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Any

import stripe
from sqlalchemy import delete, update

from saas import database
from saas.auth import accounts
from saas.auth.models import User
from saas.billing import checkout, customers, grants, subscriptions, tasks
from saas.billing.models import StripeEvent
from saas.database import db, now
from saas.users import account_deletion
from tests.billing.simulation.world import World

LIVE = ("active", "trialing", "past_due", "unpaid", "paused")


class Subscriber:
    """The actions of a user, the changes at Stripe, and the delivery of events."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.email = f"life-{next(world.numbers)}@example.com"
        self.foreign: set[str] = set()
        self.pages: list[str] = []
        self._known: set[str] = set()
        self._fetched: list[stripe.Subscription] = []
        self._fetched_at = -1
        self.seen: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        world.undelivered.clear()
        world.network.clear()
        with world.app.app_context():
            # Events that a failed scenario left would be applied to this subscriber.
            db.session.execute(delete(StripeEvent))
            self.id = accounts.get_or_create(self.email).id

    # --- what the user does -----------------------------------------------------------------

    def open_page(self, plan: str, interval: str) -> None:
        if user := self.user():
            page = checkout.checkout_url(user, plan, interval, f"{next(self.world.numbers):x}")
            if "/checkout/" in page:
                self.pages.append(page)

    def pay_page(self, which: int) -> None:
        """Pay on a checkout page that was opened before, perhaps in another tab."""
        if self.pages:
            self.world.pay(self.pages[which % len(self.pages)])

    def buy(self, plan: str, interval: str) -> None:
        self.open_page(plan, interval)
        self.pay_page(-1)

    def buy_once(self, number: str) -> None:
        """Buy the one-time plan with a card, of which some are disputed."""
        self.open_page("lifetime", "once")
        if self.pages:
            self.world.pay(self.pages[-1], number)

    def try_out(self) -> None:
        """Start the plan with a trial for which no card is asked."""
        self.open_page("studio", "monthly")
        if self.pages:
            self.world.pay(self.pages[-1], "")

    def continue_paused(self) -> None:
        if user := self.user():
            checkout.resume_url(user)

    def close(self) -> None:
        if user := self.user():
            account_deletion.delete_account(user)

    # --- what happens at Stripe -------------------------------------------------------------

    def buy_duplicate(self, plan: str, interval: str) -> None:
        """Subscribe once more, unless the account is being deleted: it gets no customer then."""
        if (user := self.user()) is None:
            return
        with suppress(customers.AccountClosing):
            self.world.at_stripe.subscriptions.create(
                {
                    "customer": customers.ensure_customer(user),
                    "items": [{"price": checkout.price_for(plan, interval)}],
                    "metadata": customers.metadata_for(user),
                }
            )

    def buy_other_product(self) -> None:
        if customer := self.customer_id():
            subscription = self.world.at_stripe.subscriptions.create(
                {"customer": customer, "items": [{"price": self.world.foreign_price}]}
            )
            self.foreign.add(subscription.id)

    def other_customer_buys(self) -> None:
        """A customer of the company's other product subscribes."""
        at_stripe = self.world.at_stripe
        customer = at_stripe.customers.create(
            {"email": f"not-{self.email}", "metadata": {"product": "other"}}
        ).id
        card = at_stripe.payment_methods.attach("pm_card_visa", {"customer": customer}).id
        subscription = at_stripe.subscriptions.create(
            {
                "customer": customer,
                "items": [{"price": self.world.foreign_price}],
                "default_payment_method": card,
            }
        )
        self.foreign.add(subscription.id)

    def change(self, plan: str, interval: str) -> None:
        for entry in self.live():
            item = entry["items"].data[0].id
            price = checkout.price_for(plan, interval)
            self.world.at_stripe.subscriptions.update(
                entry.id, {"items": [{"id": item, "price": price}]}
            )

    def change_quantity(self, count: int) -> None:
        for entry in self.live():
            item = entry["items"].data[0].id
            self.world.at_stripe.subscriptions.update(
                entry.id, {"items": [{"id": item, "quantity": count}]}
            )

    def discount(self, percent: int, duration: str) -> None:
        """Set a coupon on the live subscriptions; 0 percent removes it."""
        for item in self.live():
            terms: Any = {"percent_off": percent, "duration": duration}
            if duration == "repeating":
                terms["duration_in_months"] = 3
            coupon = self.world.at_stripe.coupons.create(terms).id if percent else None
            taken: Any = [{"coupon": coupon}] if coupon else ""
            self.world.at_stripe.subscriptions.update(item.id, {"discounts": taken})

    def credit(self, cents: int) -> None:
        if customer := self.customer_id():
            self.world.at_stripe.customers.update(customer, {"balance": -cents})

    def cancel_later(self) -> None:
        for item in self.live():
            self.world.at_stripe.subscriptions.update(item.id, {"cancel_at_period_end": True})

    def resume(self) -> None:
        for item in self.live():
            self.world.at_stripe.subscriptions.update(item.id, {"cancel_at_period_end": False})

    def cancel_now(self) -> None:
        for item in self.live():
            self.world.at_stripe.subscriptions.cancel(item.id)

    def card(self, kind: str) -> None:
        if customer := self.customer_id():
            card = self.world.at_stripe.payment_methods.attach(kind, {"customer": customer})
            self.world.at_stripe.customers.update(
                customer, {"invoice_settings": {"default_payment_method": card.id}}
            )
            for item in self.live():  # Checkout set the subscription's own default payment method
                self.world.at_stripe.subscriptions.update(
                    item.id, {"default_payment_method": card.id}
                )

    def pay_open_invoices(self) -> None:
        if customer := self.customer_id():
            owed = {"customer": customer, "status": "open"}
            for invoice in self.world.at_stripe.invoices.list(owed).data:  # type: ignore[arg-type]
                self.world.at_stripe.invoices.pay(invoice.id)

    def advance_clock(self, step: str) -> None:
        if customer := self.customer_id():
            self.world.advance(customer, step)

    def refund_purchase(self, which: int, percent: int) -> None:
        """Refund a part of what a one-time payment has left, or all of it."""
        if charges := self.purchase_charges():
            charge = charges[which % len(charges)]
            left = charge.amount - charge.amount_refunded
            params: Any = {"charge": charge.id, "amount": max(left * percent // 100, 1)}
            self.world.at_stripe.refunds.create(params)

    def decide_dispute(self, evidence: str) -> None:
        """Let the bank decide about the disputes of one-time payments."""
        for charge in self.purchase_charges():
            for dispute in self.world.at_stripe.disputes.list({"charge": charge.id}).data:
                decided: Any = {"evidence": {"uncategorized_text": evidence}, "submit": True}
                self.world.at_stripe.disputes.update(dispute.id, decided)

    def delete_customer(self) -> None:
        if customer := self.customer_id():
            self.world.at_stripe.customers.delete(customer)

    # --- delivery of events -----------------------------------------------------------------

    def deliver(self, which: int, times: int) -> None:
        if not self.world.undelivered:
            return
        delivery = self.world.undelivered.pop(which % len(self.world.undelivered))
        for _ in range(times):
            status, text = self.world.transport.deliver(delivery)
            assert status in (200, 503), text
            if status == 503:  # Stripe retries
                self.world.undelivered.append(delivery)
                return

    def drop(self, which: int) -> None:
        if self.world.undelivered:
            self.world.undelivered.pop(which % len(self.world.undelivered))

    # --- what an operator does --------------------------------------------------------------

    def grant(self, plan: str, days: int) -> None:
        if user := self.user():
            until = now() + timedelta(days=days) if days else None
            grants.grant(user, plan, reason="a life", until=until, by="operator")

    def revoke_grant(self) -> None:
        if user := self.user():
            grants.revoke(user, reason="a life", by="operator")

    # --- failures of Stripe -----------------------------------------------------------------

    def stripe_goes_down(self) -> None:
        self.world.network.is_down = True

    def stripe_recovers(self) -> None:
        self.world.network.clear()

    def stripe_fails_once(self, after: int, how: str) -> None:
        self.world.network.fail(after, how)

    # --- what the application does by itself ------------------------------------------------

    def sync(self) -> None:
        subscriptions.sync(self.id, cause="a subscriber")

    def run_tasks(self) -> None:
        """Run the periodic tasks as if some hours had passed."""
        with database.write_transaction():
            ago = now() - timedelta(hours=3)
            database.execute(update(StripeEvent).values(received_at=ago))
            database.execute(update(User).values(stripe_synced_at=ago))
            database.execute(update(User).where(User.closing_at.isnot(None)).values(closing_at=ago))
        tasks.retry_events()
        tasks.sync_ended_periods()
        account_deletion.finish_deletions()

    # --- the state --------------------------------------------------------------------------

    def user(self) -> User | None:
        db.session.rollback()
        return db.session.get(User, self.id, populate_existing=True)

    def customer_id(self) -> str | None:
        user = self.user()
        return user.stripe_customer_id if user else None

    def at_stripe(self) -> list[stripe.Subscription]:
        """Return every subscription of every customer ever created for this user."""
        if self._fetched_at != self.world.writes:
            self._fetched, self._fetched_at = self._fetch(), self.world.writes
        return self._fetched

    def _fetch(self) -> list[stripe.Subscription]:
        subscriptions_of = self.world.at_stripe.subscriptions.list
        return [
            item
            for customer in self._customers()
            for item in subscriptions_of(
                {"customer": customer, "status": "all", "limit": 100}
            ).auto_paging_iter()
        ]

    def live(self) -> list[stripe.Subscription]:
        """Return the live subscriptions that are ours."""
        return [
            item for item in self.at_stripe() if item.status in LIVE and item.id not in self.foreign
        ]

    def purchase_charges(self) -> list[stripe.Charge]:
        """Return the paid charges of our Checkout sessions in payment mode, oldest first."""
        found = []
        for customer in self._customers():
            params: Any = {
                "customer": customer,
                "status": "complete",
                "expand": ["data.payment_intent.latest_charge"],
            }
            for session in self.world.at_stripe.checkout.sessions.list(params).data:
                if session.mode == "payment" and session.payment_status == "paid":
                    found.append(session.payment_intent.latest_charge)  # type: ignore[union-attr]
        return sorted(found, key=lambda charge: (charge.created, charge.id))  # type: ignore[union-attr,return-value]

    def observe(self) -> None:
        """Record the state at Stripe: our columns may only have states that Stripe had."""
        for item in self.at_stripe():
            self.seen[item.id].add((item.status, item["items"].data[0].price.id))

    def _customers(self) -> list[str]:
        if customer := self.customer_id():
            self._known.add(customer)
        result = self.world.at_stripe.customers.list({"email": self.email, "limit": 100})
        self._known.update(item.id for item in result.data)  # deleted ones are not in the list
        return sorted(self._known)
