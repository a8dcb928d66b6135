"""The product that the starter's tests use, so that they do not depend on `product/`.

It uses everything that a product can declare: four plans in euro, one of them with a trial and only
yearly, its own brand, and reports: a page that requires a plan, with a quota and a table.
"""

from pathlib import Path

from saas.declaration import (
    ComparisonRow,
    NavigationLink,
    NextStep,
    Product,
    Question,
    Scope,
    SiteLink,
    Tile,
    quota,
    read_brand,
)
from tests.harness.sample_product import api, tasks, views  # noqa: F401 - tasks register
from tests.harness.sample_product.catalogue import catalogue

product = Product(
    __name__,
    brand=read_brand(Path(__file__).with_name("brand.toml")),
    catalogue=catalogue,
    blueprints=(views.bp, api.bp),
    navigation=(NavigationLink("reports.reports", "Reports", "inbox"),),
    site_links=(SiteLink("Tour", "/#tour"),),
    tiles=(Tile("reports/tile.html", views.tile),),
    next_steps=(NextStep("reports.reports", "Write a report", "It is counted.", "inbox"),),
    comparison=(
        ComparisonRow("An account", lambda plan: True),
        ComparisonRow("Reports", quota("reports")),
    ),
    scopes=(
        Scope("reports:read", "Read your reports"),
        Scope("reports:write", "Write reports"),
    ),
    questions=(Question("Is there a free plan?", "Yes, it is called Hobby."),),
)
