"""What a product declares: its brand, its plans, and what it adds to the starter's pages.

The package of the product (`product/` by default) holds one object, `product = Product(...)`.
`saas/products.py` checks it when the application starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint

from saas.plans import Catalogue, Plan


class ProductError(Exception):
    """The declaration of the product cannot be used; the message names the entry."""


@dataclass(frozen=True)
class Colors:
    """The brand's colours on light or on dark ground, as `#rrggbb`."""

    background: str
    text: str
    accent: str  # links and icons
    button: tuple[str, str]  # from left to right, under white text
    highlight: str  # the ground of what is chosen
    highlight_text: str
    focus: str


@dataclass(frozen=True)
class Brand:
    """Who offers the product, and how it looks: the content of `brand.toml`."""

    name: str
    tagline: str
    company: str
    support_email: str
    gradient: tuple[str, str]
    light: Colors
    dark: Colors


@dataclass(frozen=True)
class NavigationLink:
    """A link in the sidebar of the signed-in pages. `icon` is a name of `assets/icons.txt`."""

    endpoint: str
    label: str
    icon: str


@dataclass(frozen=True)
class SiteLink:
    """A link in the header and footer of the public pages, such as `/#features`."""

    label: str
    url: str


@dataclass(frozen=True)
class Tile:
    """A card on the dashboard: a template, and a function that gives its variables for a `User`."""

    template: str
    context: Callable[[Any], Mapping[str, object]]


@dataclass(frozen=True)
class NextStep:
    """A line under "What to do next" on the dashboard."""

    endpoint: str
    title: str
    text: str
    icon: str


@dataclass(frozen=True)
class ComparisonRow:
    """A row in the comparison of plans.

    `value` returns the cell of a plan: a text, True for a check mark, False for a dash.
    """

    label: str
    value: Callable[[Plan], str | bool]


@dataclass(frozen=True)
class Question:
    """A question on the pricing page, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Scope:
    """Something that an API token may do, such as `links:read`; users choose by the description."""

    name: str
    description: str


@dataclass(frozen=True)
class Product:
    """A product on the starter.

    `import_name` is the package's `__name__`. A file in its folder `templates/` or `static/`
    replaces the starter's of the same path.
    """

    import_name: str
    brand: Brand
    catalogue: Catalogue
    blueprints: tuple[Blueprint, ...] = ()
    navigation: tuple[NavigationLink, ...] = ()
    site_links: tuple[SiteLink, ...] = ()
    tiles: tuple[Tile, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    comparison: tuple[ComparisonRow, ...] = ()
    questions: tuple[Question, ...] = ()
    scopes: tuple[Scope, ...] = ()


def monthly_quota(feature: str) -> Callable[[Plan], str | bool]:
    """Return the cells of a quota's row: `100 a month`, `Unlimited`, or a dash."""

    def value(plan: Plan) -> str | bool:
        quota = plan.quota(feature)
        return "Unlimited" if quota is None else f"{quota} a month" if quota else False

    return value


def read_brand(path: Path) -> Brand:
    """Read `brand.toml`. Raises `ProductError` with the entry that is missing or wrong."""
    try:
        read = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProductError(f"{path.name} cannot be read: {error}.") from None
    brand = _Table(read, path.name)
    colors = brand.table("colors")
    found = Brand(
        name=brand.line("name", longest=40),
        tagline=brand.line("tagline"),
        company=brand.line("company"),
        support_email=brand.line("support_email"),
        gradient=colors.pair("gradient"),
        light=_colors(colors.table("light")),
        dark=_colors(colors.table("dark")),
    )
    if not found.name:
        raise ProductError(f"{path.name}: name is empty.")
    return found


def _colors(table: _Table) -> Colors:
    button = table.pair("button")
    for color in button:
        if contrast(color, "#ffffff") < _READABLE:
            raise ProductError(
                f"{table.where('button')} has {color}, on which white text cannot be read well: "
                f"choose a darker one (its contrast is {contrast(color, '#ffffff'):.1f}, and "
                f"{_READABLE} is needed)."
            )
    singles = ("background", "text", "accent", "highlight", "highlight_text", "focus")
    return Colors(button=button, **{name: table.color(name) for name in singles})


_READABLE = 4.5  # https://www.w3.org/TR/WCAG22/#contrast-minimum


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21.

    https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
    """
    dark, light = sorted((_luminance(first), _luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    shares = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class _Table:
    """A table of a TOML file whose entries are named in errors."""

    def __init__(self, values: Mapping[str, Any], name: str) -> None:
        self._values, self._name = values, name

    def where(self, key: str) -> str:
        return f"{self._name}: {key}"

    def table(self, key: str) -> _Table:
        values = self._values.get(key)
        if not isinstance(values, dict):
            raise ProductError(f"{self.where(key)} is missing: it is a table.")
        return _Table(values, f"{self._name}: {key}")

    def line(self, key: str, longest: int = 200) -> str:
        value = self._values.get(key)
        is_line = isinstance(value, str) and value.isprintable() and "=?" not in value
        if not isinstance(value, str) or not is_line or len(value) > longest:
            raise ProductError(
                f"{self.where(key)} must be one line of up to {longest} characters, without "
                "encoded words (=?)."
            )
        return value

    def color(self, key: str) -> str:
        return self._checked(key, self._values.get(key))

    def pair(self, key: str) -> tuple[str, str]:
        value = self._values.get(key)
        if not isinstance(value, list) or len(value) != 2:
            raise ProductError(f"{self.where(key)} must be two colours, from left to right.")
        return self._checked(key, value[0]), self._checked(key, value[1])

    def _checked(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-f]{6}", value):
            raise ProductError(
                f"{self.where(key)} must be a colour such as #6366f1, not {value!r}."
            )
        return value
