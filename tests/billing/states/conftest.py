from __future__ import annotations

import pytest

from saas.auth.models import User
from tests.billing.states.actions import new_email
from tests.harness import stripe_account
from tests.harness.live_shop import LiveShop


@pytest.fixture
def shop(live_on_sqlite: LiveShop) -> LiveShop:
    return live_on_sqlite


@pytest.fixture
def ann(shop: LiveShop) -> User:
    """Return a new subscriber to Solo, before the first webhook."""
    return stripe_account.subscriber(shop, new_email(), synced=False)[0]
