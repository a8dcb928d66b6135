from __future__ import annotations

import pytest

from saas.auth.models import User
from tests.billing import stripe_side
from tests.billing.live import LiveShop
from tests.billing.states.telling import new_email


@pytest.fixture
def shop(live_on_sqlite: LiveShop) -> LiveShop:
    return live_on_sqlite


@pytest.fixture
def ann(shop: LiveShop) -> User:
    """Somebody who has just subscribed to Solo, and of whom we have not heard yet."""
    return stripe_side.subscriber(shop, new_email(), synced=False)[0]
