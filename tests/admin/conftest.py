"""A visitor who is signed in as an administrator."""

from __future__ import annotations

import pytest

from saas.auth import accounts
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor

ADMIN = "admin@example.com"


@pytest.fixture
def admin(shop: Shop, visitor: Visitor) -> Visitor:
    with shop.app.app_context():
        accounts.get_or_create(ADMIN, role="admin")
    visitor.sign_in(ADMIN)
    return visitor
