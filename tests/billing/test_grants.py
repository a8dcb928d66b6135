"""Plans given by hand: the highest source counts, and grants end by themselves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from click.testing import Result
from sqlalchemy import select

from saas.auth import accounts
from saas.auth.models import User
from saas.billing import grants, history
from saas.billing.models import GrantedPlan
from saas.database import db, now
from saas.users.schemas import SubscriptionSchema
from tests.harness import stripe_account
from tests.harness.apps import both_databases
from tests.harness.sample_product.catalogue import LIFETIME
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

ANN = "ann@example.com"


def users(shop: Shop, *args: str) -> Result:
    result: Result = shop.app.test_cli_runner().invoke(args=["users", *args])
    return result


def plan_of(shop: Shop) -> str:
    with shop.app.app_context():
        return str(db.session.get(User, shop.user(ANN).id, populate_existing=True).plan.id)


def test_a_granted_plan_gives_access_until_its_end_and_is_shown(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in(ANN)
    day = (now() + timedelta(days=20)).date()

    result = users(shop, "grant", ANN, "solo", "--reason", "Beta tester", "--until", str(day))

    assert result.output == f"{ANN} has solo until the end of {day} (UTC).\n"
    assert visitor.visit("/dashboard/reports").status == 200
    page = visitor.visit("/dashboard/billing").text
    assert "Solo was given to you until" in page
    assert "free of charge" in page
    assert "Nothing is charged" not in page
    with time_machine.travel(now() + timedelta(days=22)):
        assert plan_of(shop) == "hobby"


def test_a_user_with_a_granted_plan_can_still_subscribe(shop: Shop, visitor: Visitor) -> None:
    visitor.sign_in(ANN)
    users(shop, "grant", ANN, "solo", "--reason", "Winner")

    page = visitor.visit("/pricing")

    assert "Subscribe to Solo" in page.text
    assert "Upgrade to Team" in page.text
    assert "Cancel in the portal" not in page.text


@pytest.mark.parametrize(
    ("granted", "bought", "has"), [("solo", "team", "team"), ("team", "solo", "team")]
)
def test_the_highest_source_counts(shop: Shop, granted: str, bought: str, has: str) -> None:
    stripe_account.subscriber(shop, ANN, bought)
    users(shop, "grant", ANN, granted, "--reason", "Sorry")

    assert plan_of(shop) == has
    assert users(shop, "revoke-grant", ANN, "--reason", "Over").output.endswith(
        f"is now on {bought.title()}.\n"
    )
    assert plan_of(shop) == bought


def test_grants_are_exported_with_their_reasons_and_audited(shop: Shop) -> None:
    users(shop, "create", ANN)
    users(shop, "grant", ANN, "solo", "--reason", "Beta  tester")
    users(shop, "grant", ANN, "team", "--reason", "Winner")
    users(shop, "revoke-grant", ANN, "--reason", "Left")

    exported = json.loads(users(shop, "export", ANN).output)["granted_plans"]
    assert [(row["plan"], row["reason"], row["end_reason"]) for row in exported] == [
        ("solo", "Beta tester", "replaced by another grant"),
        ("team", "Winner", "Left"),
    ]
    log = users(shop, "history", ANN).output
    assert all(action in log for action in ("grant solo", "grant team", "revoke team"))


def test_the_profile_names_the_grant_and_the_features(shop: Shop) -> None:
    users(shop, "create", ANN)
    users(shop, "grant", ANN, "team", "--reason", "Winner")

    with shop.app.app_context():
        profile = SubscriptionSchema().dump(shop.user(ANN))

    assert (profile["plan"], profile["features"]) == ("team", ["branding"])
    assert profile["granted"] == {"plan": "team", "until": None}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["solo"], "Missing option '--reason'"),
        (["solo", "--reason", " "], "Give a reason of 1 to 200 characters."),
        (["solo", "--reason", "x" * 201], "Give a reason of 1 to 200 characters."),
        (["gold", "--reason", "x"], "There is no plan 'gold' to grant. Give solo, team, agency."),
        (["hobby", "--reason", "x"], "There is no plan 'hobby' to grant."),
        (["solo", "--reason", "x", "--until", "2020-01-01"], "2020-01-01 has passed."),
        (["solo", "--reason", "x", "--until", "soon"], "'soon' does not match"),
    ],
)
def test_a_wrong_grant_is_refused_with_the_value(shop: Shop, args: list[str], message: str) -> None:
    users(shop, "create", ANN)

    result = users(shop, "grant", ANN, *args)

    assert result.exit_code != 0
    assert message in result.output
    assert plan_of(shop) == "hobby"


def test_granting_a_one_time_plan_gives_what_it_grants(shop: Shop) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    shop.sell(LIFETIME)

    users(shop, "grant", ANN, "lifetime", "--reason", "Winner")

    assert plan_of(shop) == "solo"


def test_revoking_without_a_grant_is_explained(shop: Shop) -> None:
    users(shop, "create", ANN)

    result = users(shop, "revoke-grant", ANN, "--reason", "x")

    assert result.output == f"Error: {ANN} has no granted plan.\n"


def test_a_granted_plan_that_left_the_catalogue_gives_nothing(shop: Shop) -> None:
    users(shop, "create", ANN)
    users(shop, "grant", ANN, "agency", "--reason", "x")
    shop.change_plan("agency", id="club")

    assert plan_of(shop) == "hobby"


@both_databases
def test_of_grants_at_the_same_time_one_stays(shop: Shop) -> None:
    users(shop, "create", ANN)

    def grant(number: int) -> None:
        with shop.app.app_context():
            user = accounts.get_by_email(ANN)
            plan = ("solo", "team")[number % 2]
            grants.grant(user, plan, reason=f"{number}", until=None, by="operator")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(grant, range(16)))

    with shop.app.app_context():
        open_rows = select(GrantedPlan).where(GrantedPlan.ended_at.is_(None))
        [row] = db.session.scalars(open_rows).all()
        assert row.plan == shop.user(ANN).granted_plan


def test_a_grant_leaves_the_subscription_and_its_history_as_they_are(
    shop: Shop, visitor: Visitor
) -> None:
    visitor.sign_in(ANN)
    ann, _ = stripe_account.subscriber(shop, ANN, "solo")
    users(shop, "grant", ann.email, "team", "--reason", "Sorry")

    page = visitor.visit("/dashboard/billing").text

    assert "Your subscription to Solo continues beside it." in page
    assert "Next invoice" in page
    with shop.app.app_context():
        assert all("Team" not in entry.words for entry in history.list_for_user(ann.id))
