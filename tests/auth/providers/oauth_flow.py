"""The OAuth flow to a provider and back, and the rows that it writes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from sqlalchemy import select

from saas.auth.models import Identity
from saas.database import db
from tests.harness.shop import Shop
from tests.harness.visitor import Page, Visitor

both_providers = pytest.mark.parametrize("provider", ["google", "github"])


def start_sign_in(visitor: Visitor, provider: str, start: str = "/login") -> str:
    """Press the provider's button, and return the URL of the redirect."""
    visitor.visit(start)
    visitor.submit(f"/auth/oauth/{provider}", follow=False)
    assert visitor.page.status == 303, visitor.page.text
    return visitor.page.response.headers["Location"]


def choose(url: str, /, **choice: str) -> str:
    """Choose an account at the provider, and return the callback URL."""
    query = urlencode({f"sandbox_{key}": value for key, value in choice.items()})
    response = requests.get(f"{url}&{query}", allow_redirects=False, timeout=20)
    return response.headers["Location"]


def sign_in_with(visitor: Visitor, provider: str, start: str = "/login", /, **choice: str) -> Page:
    """Sign in with the provider, from the button to the callback."""
    return visitor.visit(choose(start_sign_in(visitor, provider, start), **choice))


def profile(email: str, **more: str) -> dict[str, str]:
    return {"as": "somebody", "email": email, **more}


def rows(shop: Shop, model: Any) -> list[Any]:
    with shop.app.app_context():
        return list(db.session.scalars(select(model)))


def identity_of(shop: Shop) -> Identity:
    (identity,) = rows(shop, Identity)
    return identity


def assert_refused(page: Page, status: int, words: str) -> None:
    assert page.status == status, page.text
    assert words in page.text
    assert "Traceback" not in page.response.text
    assert page.links  # what to do next
