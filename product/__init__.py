"""Your product: its brand, plans and additions to the starter's pages.

A feature is a package in this folder that declares `feature = Feature(...)`; it is found
automatically. `share_cards` is an example: a page that requires a plan, with a quota. Delete the
folder to remove it.
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
