"""Provide the fixtures of the starter's tests for this product: `shop`, `visitor`, `app`…"""

import pytest

from tests.conftest import *  # noqa: F403 - pytest looks up fixtures here by name


@pytest.fixture(scope="session")
def product_package() -> str:
    return "product"
