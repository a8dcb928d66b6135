"""A copy of the project with another product."""

from __future__ import annotations

import shutil
from pathlib import Path

from saas.config import ROOT
from tests.startup.checkout import copy_repository

_CATALOGUE = """
from saas.plans import Catalogue, Plan

def plan(id: str, rank: int, monthly: int | None, yearly: int | None) -> Plan:
    named = {"monthly": monthly, "yearly": yearly}
    prices = {interval: price for interval, price in named.items() if price}
    return Plan(id, id.title(), f"The {id} plan.", rank, ("Some of it",), prices=prices)

catalogue = Catalogue("gbp", (
    Plan("none", "None yet", "To look around.", 0, (), free=True),
    plan("bronze", 1, 700, 7000), plan("silver", 2, 900, None), plan("gold", 3, 1900, 19000),
    plan("platinum", 4, None, 99000),
))
"""


_PRODUCT = """
from pathlib import Path

from product.catalogue import catalogue
from saas.declaration import Product, read_brand

product = Product(
    __name__, brand=read_brand(Path(__file__).with_name("brand.toml")), catalogue=catalogue
)
"""


def without_example(folder: Path) -> Path:
    """Return a copy of the repository with a product without the example."""
    copy_repository(folder)
    product, brand = folder / "product", (folder / "product" / "brand.toml").read_text("utf-8")
    shutil.rmtree(product)
    shutil.copytree(ROOT / "product" / "migrations", product / "migrations")
    shutil.copytree(ROOT / "tests/harness/sample_product/static", product / "static")
    (product / "catalogue.py").write_text(_CATALOGUE)
    (product / "__init__.py").write_text(_PRODUCT)
    sample = (ROOT / "tests/harness/sample_product/brand.toml").read_text("utf-8")
    (product / "brand.toml").write_text(sample.replace("Acme", "Quokka"))
    assert "Quokka" not in brand
    return folder
