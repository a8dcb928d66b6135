"""What a product declares: its brand, its plans, and what it adds to the starter's pages.

The package of the product (`product/` by default) holds one object, `product = Product(...)`, and
packages of its own for features.
`saas/products.py` checks it when the application starts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint
from marshmallow import Schema, ValidationError, fields, post_load, validate

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


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What a part of the product adds to the starter's pages.

    A package in the product's folder that declares `feature = Feature(...)` belongs to the
    product. It goes by deleting the package.
    """

    blueprints: tuple[Blueprint, ...] = ()
    navigation: tuple[NavigationLink, ...] = ()
    site_links: tuple[SiteLink, ...] = ()
    tiles: tuple[Tile, ...] = ()
    next_steps: tuple[NextStep, ...] = ()
    comparison: tuple[ComparisonRow, ...] = ()
    questions: tuple[Question, ...] = ()
    scopes: tuple[Scope, ...] = ()


@dataclass(frozen=True)
class Product(Feature):
    """A product on the starter, with what it adds outside of its features.

    `import_name` is the package's `__name__`. A file in its folder `templates/` or `static/`
    replaces the starter's of the same path.
    """

    import_name: str
    brand: Brand
    catalogue: Catalogue


def monthly_quota(feature: str) -> Callable[[Plan], str | bool]:
    """Return the cells of a quota's row: `100 a month`, `Unlimited`, or a dash."""

    def value(plan: Plan) -> str | bool:
        quota = plan.quota(feature)
        return "Unlimited" if quota is None else f"{quota} a month" if quota else False

    return value


def read_brand(path: Path) -> Brand:
    """Read `brand.toml`. Raises `ProductError` with every entry that is missing or wrong."""
    try:
        loaded: Brand = _BrandSchema().load(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProductError(f"{path.name} cannot be read: {error}.") from None
    except ValidationError as error:
        raise ProductError("\n".join(_sentences(path.name, error.messages_dict))) from None
    return loaded


def _sentences(where: str, messages: Any) -> Iterator[str]:
    """A line for each entry, such as `brand.toml: colors: light: accent: must be a color…`."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            name = name + 1 if isinstance(name, int) else name  # the first one is 1
            yield from _sentences(f"{where}: {name}", inner)
    else:
        yield f"{where}: {' '.join(messages)}"


def check_printable(value: str) -> None:
    """Refuse what would be more than its text in a mail header."""
    if not value.isprintable() or "=?" in value:
        raise ValidationError("must have no line breaks, control characters or encoded words (=?).")


def _line(longest: int = 200, shortest: int = 0) -> fields.String:
    """One line of text, as it fits a mail header and a heading."""
    return fields.String(
        required=True,
        validate=[
            validate.Length(shortest, longest, error="must have {min} to {max} characters."),
            check_printable,
        ],
    )


class _ColorField(fields.String):
    """`#rrggbb`, in lower case from here on."""

    def _deserialize(self, *args: Any, **options: Any) -> str:
        color = super()._deserialize(*args, **options).lower()
        if not re.fullmatch(r"#[0-9a-f]{6}", color):
            raise ValidationError("must be a color such as #6366f1.")
        return color


def _color() -> fields.String:
    return _ColorField(required=True)


def _readable(colors: tuple[str, str]) -> None:
    for color in colors:
        if contrast(color, "#ffffff") < _READABLE:
            raise ValidationError(
                f"White text on {color} is hard to read: its contrast is "
                f"{contrast(color, '#ffffff'):.1f}, and {_READABLE} is needed."
            )


class _ColorsSchema(Schema):
    background = _color()
    text = _color()
    accent = _color()
    button = fields.Tuple((_color(), _color()), required=True, validate=_readable)
    highlight = _color()
    highlight_text = _color()
    focus = _color()

    @post_load
    def _make(self, values: dict[str, Any], **_: Any) -> Colors:
        return Colors(**values)


class _AllColorsSchema(Schema):
    gradient = fields.Tuple((_color(), _color()), required=True)
    light = fields.Nested(_ColorsSchema, required=True)
    dark = fields.Nested(_ColorsSchema, required=True)


class _BrandSchema(Schema):
    name = _line(40, 1)
    tagline = _line()
    company = _line()
    support_email = _line()
    colors = fields.Nested(_AllColorsSchema, required=True)

    @post_load
    def _make(self, values: dict[str, Any], **_: Any) -> Brand:
        return Brand(**values.pop("colors"), **values)


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
