"""Features that need a plan, and quotas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import update

from saas import database
from saas.billing import access
from saas.billing.models import FeatureUse
from saas.database import now
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def test_without_the_plan_a_page_names_the_plan_and_links_to_it(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    page = visitor.visit("/dashboard/reports")

    assert page.status == 403
    assert "Reports" in page.text
    assert "Solo" in page.text
    assert any(link.startswith("/pricing") and "plan=solo" in link for link in page.links)


def test_without_the_plan_the_form_is_refused(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    token = visitor.visit("/dashboard/settings").forms[0].fields["csrf_token"]

    response = visitor.request(
        "POST", "/dashboard/reports", data={"title": "Hello", "csrf_token": token}
    )

    assert response.status_code == 403


def test_an_exhausted_quota_is_explained_and_resets_next_month(
    shop: Shop, visitor: Visitor
) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/reports")
    with shop.app.app_context():
        access.use(ann, "reports")
        with database.write_transaction():
            database.execute(update(FeatureUse).values(used=100))

    page = visitor.submit("/dashboard/reports", title="One too many")

    assert page.status == 403
    assert "reached this month's quota" in page.text
    with shop.app.app_context(), time_machine.travel(now() + timedelta(days=32)):
        access.use(ann, "reports")


def test_an_unknown_quota_is_named_in_the_error(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")

    with shop.app.app_context(), pytest.raises(ValueError, match="has a quota 'memos'"):
        access.use(ann, "memos")


@both_databases
def test_concurrent_requests_do_not_exceed_a_quota(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    with shop.app.app_context():
        access.use(ann, "reports")
        with database.write_transaction():
            database.execute(update(FeatureUse).values(used=95))

    def use(_: int) -> bool:
        with shop.app.app_context():
            try:
                access.use(ann, "reports")
            except access.QuotaExhausted:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(20))) == 5
