"""Your product begins here. This small feature shows how: a page behind a plan, with a quota.

It makes share cards, the pictures that a link shows in a chat. Replace it, keep the pattern:
`@plan_required` guards the view, `access.use` counts what the catalogue limits. The declaration
below adds it to the sidebar and the dashboard.
"""

from product import views
from saas.products import NavigationLink, NextStep, Product, Tile

product = Product(
    __name__,
    blueprints=(views.bp,),
    navigation=(NavigationLink("cards.cards", "Share cards", "images"),),
    tiles=(Tile("cards/tile.html", views.tile),),
    next_steps=(
        NextStep(
            "cards.cards",
            "Make a share card",
            "The picture that a link shows in a chat.",
            "image-plus",
        ),
    ),
)
