"""Your product: its brand, its plans, and what it adds to the starter's pages.

A feature is a package in this folder that declares `feature = Feature(...)`, and is found by it.
`share_cards` is an example: a page behind a plan, with a quota. Delete the folder to remove it.
"""

from pathlib import Path

from product import content
from product.catalogue import catalogue
from saas.declaration import Product, read_brand

product = Product(
    __name__,
    brand=read_brand(Path(__file__).with_name("brand.toml")),
    catalogue=catalogue,
    site_links=content.site_links,
    comparison=content.comparison,
    questions=content.questions,
)
