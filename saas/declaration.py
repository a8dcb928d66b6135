"""The declaration of a product: its brand, plans and additions to the starter's pages.

The product's package (`product/` by default) contains one object, `product = Product(...)`, and
packages for features. `saas/products.py` validates them when the application starts.
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

from saas.plans import Catalogue, Monthly, Plan


class ProductError(Exception):
    """The declaration of the product is invalid; the message names the field."""


@dataclass(frozen=True)
class Colors:
    """The brand's colours on a light or dark background, as `#rrggbb`."""

    background: str
    text: str
    accent: str  # links and icons
    button: tuple[str, str]  # from left to right, under white text
    highlight: str  # background of selected items
    highlight_text: str
    focus: str


@dataclass(frozen=True)
class Brand:
    """Name, operator and colours of the product: the content of `brand.toml`."""

    name: str
    tagline: str
    company: str
    support_email: str
    gradient: tuple[str, str]
    light: Colors
    dark: Colors


@dataclass(frozen=True)
class NavigationLink:
    """A link in the sidebar of signed-in pages. `icon` is a name in `assets/icons.txt`."""

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
    """A card on the dashboard: a template, and a function that returns its variables for a user."""

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
    """A row of the plan comparison.

    `value` returns the cell for a plan: a text, True for a check mark, False for a dash.
    """

    label: str
    value: Callable[[Plan], str | bool]


@dataclass(frozen=True)
class Question:
    """A question and its answer on the pricing page."""

    question: str
    answer: str


@dataclass(frozen=True)
class Scope:
    """A permission of API tokens, such as `links:read`. Users choose it by its description."""

    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Feature:
    """The additions of a feature to the starter's pages.

    Every package in the product's folder that declares `feature = Feature(...)` belongs to the
    product. Delete the package to remove the feature.
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
    """A product, with its additions outside of features.

    `import_name` is the package's `__name__`. A file in its folder `templates/` or `static/`
    replaces the starter's file with the same path.
    """

    import_name: str
    brand: Brand
    catalogue: Catalogue


def quota(feature: str) -> Callable[[Plan], str | bool]:
    """Return a function for the cells of a quota's row: `100 a month`, `5`, `Unlimited`, a dash."""

    def value(plan: Plan) -> str | bool:
        quota = plan.quota(feature)
        if quota is None:
            return "Unlimited"
        if not quota.limit:
            return False
        return f"{quota.limit} a month" if isinstance(quota, Monthly) else str(quota.limit)

    return value


def read_brand(path: Path) -> Brand:
    """Read `brand.toml`. Raises `ProductError` with all missing or invalid entries."""
    try:
        loaded: Brand = _BrandSchema().load(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProductError(f"{path.name} cannot be read: {error}.") from None
    except ValidationError as error:
        raise ProductError("\n".join(_sentences(path.name, error.messages_dict))) from None
    return loaded


def _sentences(where: str, messages: Any) -> Iterator[str]:
    """Yield a line per entry, such as `brand.toml: colors: light: accent: must be a color…`."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            name = name + 1 if isinstance(name, int) else name  # count from 1
            yield from _sentences(f"{where}: {name}", inner)
    else:
        yield f"{where}: {' '.join(messages)}"


def check_printable(value: str) -> None:
    """Refuse text that would have a special meaning in an email header."""
    if not value.isprintable() or "=?" in value:
        raise ValidationError(
            "must not contain line breaks, control characters or encoded words (=?)."
        )


def _line(longest: int = 200, shortest: int = 0) -> fields.String:
    """Return a field for one line of text that is valid in an email header and a heading."""
    return fields.String(
        required=True,
        validate=[
            validate.Length(shortest, longest, error="must have {min} to {max} characters."),
            check_printable,
        ],
    )


class _ColorField(fields.String):
    """A colour `#rrggbb`, normalised to lower case."""

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
                f"{contrast(color, '#ffffff'):.1f}, but {_READABLE} is required."
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
