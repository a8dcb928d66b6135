"""Test share cards: permissions, quotas and content."""

from __future__ import annotations

import pytest

from saas.billing import access
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor


def test_without_the_plan_the_page_links_to_it(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    page = visitor.visit("/dashboard/cards")

    assert page.status == 403
    assert "Share cards" in page.text
    assert any("plan=pro" in link for link in page.links)


@pytest.mark.parametrize("plan", ["pro", "business"])
def test_with_the_plan_a_card_is_created_and_counted(
    plan: str, shop: Shop, visitor: Visitor
) -> None:
    stripe_account.subscriber(shop, "ann@example.com", plan)
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")

    page = visitor.submit("/dashboard/cards", heading="Hello world", type="News", mode="dark")

    assert page.status == 200
    card = page.response.text.partition(f'src="{shop.url}/api/og')[2].partition('"')[0]
    picture = visitor.request("GET", "/api/og" + card.replace("&amp;", "&"))
    assert picture.headers["Content-Type"] == "image/png"
    with shop.app.app_context():
        assert access.usage(shop.user("ann@example.com"), "cards").used == 1


@pytest.mark.parametrize(
    ("typed", "message"), [("", "Enter a heading."), ("x" * 121, "at most 120")]
)
def test_a_heading_that_is_too_long_is_explained_and_not_counted(
    typed: str, message: str, shop: Shop, visitor: Visitor
) -> None:
    stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")

    page = visitor.submit("/dashboard/cards", heading=typed)

    assert page.status == 422
    assert message in page.text
    with shop.app.app_context():
        assert access.usage(shop.user("ann@example.com"), "cards").used == 0


def test_a_reload_creates_no_second_card(shop: Shop, visitor: Visitor) -> None:
    ann, _ = stripe_account.subscriber(shop, "ann@example.com")
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/cards")
    visitor.submit("/dashboard/cards", heading="Hello world")

    again = visitor.visit("/dashboard/cards")

    assert again.form("/dashboard/cards", heading="Hello world")
    with shop.app.app_context():
        assert access.usage(ann, "cards").used == 1
