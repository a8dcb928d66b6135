"""A feature behind a plan: who may, how often, and what the others read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import update

from saas import database
from saas.billing import access
from saas.billing.access import FeatureUse
from saas.database import now
from tests.billing import stripe_side
from tests.conftest import Shop, both_databases
from tests.visitor import Visitor


def test_without_the_plan_a_page_says_what_is_missing_and_leads_to_it(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    page = visitor.visit("/dashboard/cards")

    assert page.status == 403
    assert "Share cards" in page.text
    assert "Pro" in page.text
    assert any(link.startswith("/pricing") and "plan=pro" in link for link in page.links)


def test_without_the_plan_the_form_cannot_be_sent_past_the_page(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    token = visitor.visit("/dashboard/settings").forms[0].fields["csrf_token"]

    answer = visitor.request(
        "POST", "/dashboard/cards", data={"heading": "Hello", "csrf_token": token}
    )

    assert answer.status_code == 403


@pytest.mark.parametrize("plan", ["pro", "business"])
def test_with_the_plan_a_card_is_made_and_counted(plan: str, shop: Shop, visitor: Visitor) -> None:
    stripe_side.subscriber(shop, "ann@example.com", plan)
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")

    page = visitor.submit("/dashboard/cards", heading="Hello world", type="News", mode="dark")

    assert page.status == 200
    card = page.answer.text.partition(f'src="{shop.url}/api/og')[2].partition('"')[0]
    picture = visitor.request("GET", "/api/og" + card.replace("&amp;", "&"))
    assert picture.headers["Content-Type"] == "image/png"
    with shop.app.app_context():
        assert access.usage(stripe_side.person(shop, "ann@example.com"), "cards").used == 1


@pytest.mark.parametrize(
    ("typed", "said"), [("", "Enter what the card shall say."), ("x" * 121, "at most 120")]
)
def test_a_heading_that_does_not_fit_is_explained_and_not_counted(
    typed: str, said: str, shop: Shop, visitor: Visitor
) -> None:
    stripe_side.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")

    page = visitor.submit("/dashboard/cards", heading=typed)

    assert page.status == 422
    assert said in page.text
    with shop.app.app_context():
        assert access.usage(stripe_side.person(shop, "ann@example.com"), "cards").used == 0


def test_a_reload_makes_no_second_card(shop: Shop, visitor: Visitor) -> None:
    ann, _ = stripe_side.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")
    visitor.submit("/dashboard/cards", heading="Hello world")

    again = visitor.visit("/dashboard/cards")

    assert again.form("/dashboard/cards", heading="Hello world")
    with shop.app.app_context():
        assert access.usage(ann, "cards").used == 1


def test_a_quota_that_is_used_up_says_so_and_is_new_next_month(
    shop: Shop, visitor: Visitor
) -> None:
    ann, _ = stripe_side.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")
    with shop.app.app_context():
        access.use(ann, "cards")
        with database.writing():
            database.execute(update(FeatureUse).values(used=100))

    page = visitor.submit("/dashboard/cards", heading="One too many")

    assert page.status == 403
    assert "quota is used up" in page.text
    with shop.app.app_context(), time_machine.travel(now() + timedelta(days=32)):
        access.use(ann, "cards")


def test_a_plan_or_a_quota_that_does_not_exist_is_named(shop: Shop) -> None:
    ann, _ = stripe_side.subscriber(shop, "ann@example.com")

    with pytest.raises(ValueError, match="has no plan 'gold', only starter, pro, business"):
        access.plan_required("gold", "Memos")
    with shop.app.app_context(), pytest.raises(ValueError, match="has a quota 'memos'"):
        access.use(ann, "memos")


@both_databases
def test_a_quota_holds_however_many_ask_at_once(shop: Shop) -> None:
    ann, _ = stripe_side.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        access.use(ann, "cards")
        with database.writing():
            database.execute(update(FeatureUse).values(used=95))

    def use(_: int) -> bool:
        with shop.app.app_context():
            try:
                access.use(ann, "cards")
            except access.QuotaExhausted:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(20))) == 5
