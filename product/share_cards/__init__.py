"""Share cards, the pictures that a link shows in a chat: an example of a feature behind a plan."""

from product.share_cards import views
from saas.declaration import ComparisonRow, Feature, NavigationLink, NextStep, Tile, monthly_quota

feature = Feature(
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
    comparison=(
        ComparisonRow("Share cards", monthly_quota("cards")),
        ComparisonRow("Light and dark cards", lambda plan: not plan.is_free),
    ),
)
