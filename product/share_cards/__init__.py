"""Share cards, an example of a feature that requires a plan."""

from product.share_cards import views
from saas.declaration import ComparisonRow, Feature, NavigationLink, NextStep, Tile, quota

feature = Feature(
    blueprints=(views.bp,),
    navigation=(NavigationLink("cards.cards", "Share cards", "images"),),
    tiles=(Tile("cards/tile.html", views.tile),),
    next_steps=(
        NextStep(
            "cards.cards",
            "Create a share card",
            "The preview image that chats show for a link.",
            "image-plus",
        ),
    ),
    comparison=(
        ComparisonRow("Share cards", quota("cards")),
        ComparisonRow("Light and dark cards", lambda plan: not plan.is_free),
    ),
)
