"""The fixtures of the starter's tests, on this product: `shop`, `visitor`, `app`, `runner`…"""

import pytest

from tests.conftest import *  # noqa: F403 - pytest finds fixtures by their names here


@pytest.fixture(scope="session")
def product_package() -> str:
    return "product"
