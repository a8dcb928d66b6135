"""The schema of a card's query string."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from saas.errors import APIError
from saas.og.card import MODES, Card
from saas.og.render import text
from saas.og.templates import TEMPLATES

# Check lengths before layout: measuring 100,000 characters takes seconds.
_HEADING = 200
_LIMITS = 80


def _one_of(names: Collection[str]) -> validate.OneOf:
    return validate.OneOf(names, error=f"must be {' or '.join(names)}.")


class TextField(fields.String):
    """Text on a card, without invisible characters."""

    def __init__(self, longest: int, **options: Any) -> None:
        super().__init__(**options)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        words = str(super()._deserialize(value, attr, data, **kwargs))
        if len(words) > self.longest:
            raise ValidationError(f"has {len(words)} characters; the maximum is {self.longest}.")
        words = text.clean(words)
        if self.required and not words:
            raise ValidationError("must not be empty.")
        return words


class CardSchema(Schema):
    """The query of `/api/og`. Unknown parameters are ignored."""

    class Meta:
        unknown = EXCLUDE

    heading = TextField(_HEADING, required=True, error_messages={"required": "is missing."})
    type = TextField(_LIMITS, load_default="")
    mode = fields.String(load_default="light", validate=_one_of(MODES))
    template = fields.String(load_default="page", validate=_one_of(TEMPLATES))
    line = TextField(_HEADING, load_default="")
    author = TextField(_LIMITS, load_default="")
    date = TextField(_LIMITS, load_default="")
    plan = TextField(_LIMITS, load_default="")
    price = TextField(_LIMITS, load_default="")


_SCHEMA = CardSchema()  # creating a schema takes longer than using it


def longest(field: str) -> int:
    """Return the maximum number of characters of a text field."""
    return _HEADING if field in ("heading", "line") else _LIMITS


def read(query: Mapping[str, str]) -> Card:
    """Return the card for a query; raise 400 with all invalid fields."""
    try:
        return Card(**_SCHEMA.load(dict(query)))
    except ValidationError as error:
        messages = error.normalized_messages()  # type: ignore[no-untyped-call]  # marshmallow's own
        raise APIError(
            400, "bad_card", "The card has invalid parameters. See fields.", messages
        ) from None
