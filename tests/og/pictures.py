"""The cards that docs/og.md shows, which are also the snapshots of the tests.

    python -m tests.og.pictures

draws them again. Look at each of them before you commit it.
"""

from __future__ import annotations

from pathlib import Path

from saas.declaration import read_brand
from saas.og.card import Card
from saas.og.render.fonts import SYSTEM, Library
from saas.og.render.renderer import Renderer

# The brand of the pictures, independent of the product's.
PLINTH = read_brand(Path(__file__).with_name("plinth.toml"))

LOGO = Path(__file__).with_name("plinth.png")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "og"

# Drawn with the project's own fonts, so that they are the same on every machine.
OWN = {
    "page-light": Card("Ship the product, not the plumbing around it", "Guide"),
    "page-dark": Card(
        "Sign-in, subscriptions and share cards",
        "Open source",
        "dark",
        line="A starter for Flask that you can read in an afternoon",
    ),
    "post-light": Card(
        "What we learned from a thousand sign-in links",
        "Blog",
        template="post",
        author="Ada Lovelace",
        date="22 November 2026",
    ),
    "pricing-dark": Card(
        "Everything a small team needs",
        "Pricing",
        "dark",
        template="pricing",
        plan="Pro",
        price="$15 a month",
    ),
    "russian": Card("Быстрые карточки для ссылок, которые не ломаются", "Блог", "dark"),
}
# Drawn with Debian's Noto fonts, whose versions differ, so tests do not compare them.
NOTO = {
    "arabic": Card("بطاقات المشاركة التي لا تنكسر أبدا مع Flask 3.1", "مدونة"),
    "japanese": Card(
        "美しい日本語の見出しを、どんな長さでもきれいに表示する方法について", "ブログ"
    ),
    "emoji": Card("Ship it 🚀 with 👩🏽‍💻 and 🇩🇪🇯🇵 ❤️ today", "News", "dark"),
}


def main() -> None:
    for cards, folders in ((OWN, ()), (NOTO, SYSTEM)):
        renderer = Renderer(PLINTH, "plinth.example", LOGO, Library(folders))
        for name, card in cards.items():
            (FOLDER / f"{name}.png").write_bytes(renderer.print(card).png)


if __name__ == "__main__":
    main()
