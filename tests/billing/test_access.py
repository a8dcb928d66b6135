"""Features that need a plan, and quotas."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
import time_machine
from flask import Blueprint
from sqlalchemy import update

from saas import database
from saas.auth import accounts, api_tokens
from saas.auth.bearer import token_required
from saas.auth.models import User
from saas.billing import access, grants
from saas.billing.access import feature_required
from saas.billing.models import FeatureUse
from saas.database import now
from saas.plans import Monthly, Total
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.clients import start_session
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


@pytest.fixture
def branded(shop: Shop) -> Shop:
    """Return a shop with a page and a JSON view that require a feature."""
    bp = Blueprint("branding", __name__)

    @bp.get("/dashboard/branding")
    @feature_required("branding", "Your own logo")
    def page() -> str:
        return "Upload a logo."

    @bp.get("/api/branding")
    @token_required("reports:read")
    @feature_required("branding", "Your own logo")
    def show() -> dict[str, str]:
        return {"logo": "none"}

    shop.app.register_blueprint(bp)
    return shop


def _cookie_of(shop: Shop, user: User) -> dict[str, str]:
    name, value, _ = start_session(shop.app, user)
    return {"Cookie": f"{name}={value}"}


@pytest.mark.parametrize(("plan", "status"), [("solo", 403), ("team", 200), ("agency", 200)])
def test_a_feature_opens_the_page_in_the_plans_that_have_it(
    branded: Shop, plan: str, status: int
) -> None:
    ann, _ = stripe_account.subscriber(branded, "ann@example.com", plan)

    page = branded.app.test_client(use_cookies=False).get(
        "/dashboard/branding", headers=_cookie_of(branded, ann)
    )

    assert page.status_code == status
    if status == 403:
        assert "This is part of Team" in page.text
        assert "plan=team" in page.text


def test_anonymous_visitors_sign_in_before_they_see_a_feature(branded: Shop) -> None:
    response = branded.app.test_client().get("/dashboard/branding")

    assert response.status_code == 303
    assert response.location == "/login?next=/dashboard/branding"


def test_a_token_is_answered_as_json_by_the_plan_of_its_owner(branded: Shop) -> None:
    answers = []
    for email, plan in (("ann@example.com", "solo"), ("bob@example.com", "team")):
        user, _ = stripe_account.subscriber(branded, email, plan)
        with branded.app.app_context():
            _, token = api_tokens.create(user, "CI", ["reports:read"], None)
        headers = {"Authorization": f"Bearer {token}"}
        answers.append(branded.app.test_client().get("/api/branding", headers=headers))

    refused, allowed = answers
    assert refused.status_code == 403
    assert refused.json["error"]["code"] == "plan_required"
    assert "Your own logo needs the plan Team" in refused.json["error"]["message"]
    assert allowed.json == {"logo": "none"}


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
@pytest.mark.parametrize("quota", [Monthly(5), Total(5)], ids=["monthly", "total"])
def test_fifty_requests_at_once_do_not_exceed_a_quota(shop: Shop, quota: Monthly | Total) -> None:
    shop.change_plan("solo", quotas={"reports": quota})
    ann, _ = stripe_account.subscriber(shop, "ann@example.com", "solo")
    with shop.app.app_context():
        _, token = api_tokens.create(ann, "CI", ["reports:write"], None)
    headers = {"Authorization": f"Bearer {token}"}

    def write(number: int) -> int:
        body = {"title": f"Report {number}"}
        return requests.post(
            f"{shop.url}/api/reports", json=body, headers=headers, timeout=60
        ).status_code

    with ThreadPoolExecutor(50) as pool:
        answers = Counter(pool.map(write, range(50)))

    assert answers == {201: 5, 403: 45}
    with shop.app.app_context():
        assert access.usage(ann, "reports").used == 5


def test_a_total_quota_is_free_again_when_things_are_deleted(shop: Shop) -> None:
    shop.change_plan("solo", quotas={"reports": Total(2)})
    ann, _ = stripe_account.subscriber(shop, "ann@example.com", "solo")

    with shop.app.app_context():
        access.use(ann, "reports")
        access.use(ann, "reports")
        with pytest.raises(access.QuotaExhausted):
            access.use(ann, "reports")
        access.release(ann, "reports")
        access.use(ann, "reports")
        usage = access.usage(ann, "reports")

    assert (usage.used, usage.limit, usage.is_monthly) == (2, 2, False)


def test_a_total_quota_does_not_reset_and_its_page_says_what_to_do(
    shop: Shop, visitor: Visitor
) -> None:
    shop.change_plan("solo", quotas={"reports": Total(1)})
    ann, _ = stripe_account.subscriber(shop, "ann@example.com", "solo")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/reports")
    visitor.submit("/dashboard/reports", title="The only one")
    assert "Reports 1 of 1" in " ".join(visitor.visit("/dashboard/reports").text.split())

    page = visitor.submit("/dashboard/reports", title="One too many")

    assert page.status == 403
    assert "Delete what you no longer need, or change to a larger plan." in page.text
    later = time_machine.travel(now() + timedelta(days=32))
    with shop.app.app_context(), later, pytest.raises(access.QuotaExhausted):
        access.use(ann, "reports")


def test_plans_may_count_the_same_in_different_ways(shop: Shop) -> None:
    """Two things at once on Solo, fifty a month on Team: both are counted for everybody."""
    shop.change_plan("solo", quotas={"reports": Total(2)})
    shop.change_plan("team", quotas={"reports": Monthly(50)})
    stripe_account.subscriber(shop, "ann@example.com", "solo")

    with shop.app.app_context():
        ann = accounts.get_by_email("ann@example.com")
        access.use(ann, "reports")
        access.release(ann, "reports")
        grants.grant(ann, "team", reason="A change of plan", until=None, by="operator")
        usage = access.usage(ann, "reports")

    assert (usage.used, usage.limit, usage.is_monthly) == (1, 50, True)


def test_only_a_total_can_be_released(shop: Shop) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")

    with shop.app.app_context(), pytest.raises(ValueError, match="no plan .* has a Total quota"):
        access.release(ann, "reports")
