"""Your product begins here. This small feature shows how: a page behind a plan, with a quota.

It makes share cards, the pictures that a link shows in a chat. Replace it, keep the pattern:
`@plan_required` guards the view, `access.use` counts what the catalogue limits. The declaration
below adds it to the starter's pages.
"""

from pathlib import Path

from product import content, navigation, views
from product.catalogue import catalogue
from saas.declaration import Product, read_brand

product = Product(
    __name__,
    brand=read_brand(Path(__file__).with_name("brand.toml")),
    catalogue=catalogue,
    blueprints=(views.bp,),
    navigation=navigation.navigation,
    site_links=navigation.site_links,
    tiles=navigation.tiles,
    next_steps=navigation.next_steps,
    comparison=content.comparison,
    questions=content.questions,
)
