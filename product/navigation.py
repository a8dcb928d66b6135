"""Where the starter's pages lead to yours: sidebar, dashboard, header and footer."""

from product import views
from saas.declaration import NavigationLink, NextStep, SiteLink, Tile

navigation = (NavigationLink("cards.cards", "Share cards", "images"),)

tiles = (Tile("cards/tile.html", views.tile),)

next_steps = (
    NextStep(
        "cards.cards", "Make a share card", "The picture that a link shows in a chat.", "image-plus"
    ),
)

site_links = (SiteLink("Features", "/#features"),)
