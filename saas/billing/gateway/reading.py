"""Read fields of Stripe's responses: only optional fields may be missing.

Stripe omits fields and sends null where its types allow it. Anything else raises `Unreadable` with
the name of the field, so that callers see no AttributeError or TypeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from saas.billing.gateway.client import Unreadable, from_timestamp

_LATEST = 2**33  # seconds: the year 2242
_LARGEST = 10**15  # more than any amount, and within a database's integer


def text(holder: Any, name: str) -> str:
    """Return a required text."""
    value = optional_text(holder, name)
    if value is None:
        _fail(holder, name, "is missing")
    return value


def optional_text(holder: Any, name: str) -> str | None:
    value = _value(holder, name)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        _fail(holder, name, "is not text")
    return value or None


def number(holder: Any, name: str) -> int:
    """Return a required whole number."""
    value = optional_number(holder, name)
    if value is None:
        _fail(holder, name, "is missing")
    return value


def optional_number(holder: Any, name: str) -> int | None:
    value = _value(holder, name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        _fail(holder, name, "is not a whole number")
    if abs(value) > _LARGEST:
        _fail(holder, name, "is out of bounds")
    return value


def optional_count(holder: Any, name: str) -> int | None:
    """Return a whole number of at least 0, or None."""
    value = optional_number(holder, name)
    if value is not None and value < 0:
        _fail(holder, name, "is below 0")
    return value


def positive(holder: Any, name: str) -> int:
    """Return a required whole number above 0."""
    value = number(holder, name)
    if value < 1:
        _fail(holder, name, "is not above 0")
    return value


def optional_decimal(holder: Any, name: str) -> Decimal | None:
    """Return a decimal, which Stripe sends as a number or as text."""
    value = _value(holder, name)
    try:
        decimal = None if value is None else Decimal(str(value))
    except InvalidOperation:
        _fail(holder, name, "is not a number")
    if decimal is not None and not (decimal.is_finite() and abs(decimal) <= _LARGEST):
        _fail(holder, name, "is out of bounds")
    return decimal


def optional_percentage(holder: Any, name: str) -> Decimal | None:
    """Return a percentage from 0 to 100."""
    value = optional_decimal(holder, name)
    if value is not None and not 0 <= value <= 100:  # noqa: PLR2004 - per cent
        _fail(holder, name, "is not a percentage from 0 to 100")
    return value


def flag(holder: Any, name: str) -> bool:
    """Return a required boolean."""
    value = _value(holder, name)
    if not isinstance(value, bool):
        _fail(holder, name, "is not true or false")
    return value


def moment(holder: Any, name: str) -> datetime:
    """Return a required time."""
    value = optional_moment(holder, name)
    if value is None:
        _fail(holder, name, "is missing")
    return value


def optional_moment(holder: Any, name: str) -> datetime | None:
    value = optional_number(holder, name)
    if value is not None and not 0 <= value < _LATEST:
        _fail(holder, name, "is not a time")
    return None if value is None else from_timestamp(value)


def part(holder: Any, name: str) -> Any:
    """Return a nested object, its id if it is not expanded, or None."""
    value = _value(holder, name)
    if value is not None and not isinstance(value, str) and not _is_object(value):
        _fail(holder, name, "is not an object")
    return value


def id_of(holder: Any, name: str) -> str | None:
    """Return the id in a field that contains an id or an expanded object."""
    value = part(holder, name)
    if not _is_object(value):
        return value or None
    id = optional_text(value, "id")
    if id is None:
        _fail(holder, name, "has no id")
    return id


def entries(holder: Any, name: str = "data") -> list[Any]:
    """Return the objects of a list, or of a list object in a field.

    A missing list is not treated as empty: a truncated response would end plans.
    """
    value = _value(holder, name)
    if _is_object(value):
        value = _value(value, "data")
    if not isinstance(value, list) or not all(map(_is_object, value)):
        _fail(holder, name, "is not a list of objects")
    return list(value)


def optional_entries(holder: Any, name: str) -> list[Any]:
    """Return the objects of a list; empty if it is missing."""
    return [] if _value(holder, name) is None else entries(holder, name)


def optional_ids(holder: Any, name: str) -> list[Any]:
    """Return a list of ids, including those of expanded objects; empty if it is missing."""
    value = _value(holder, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(
        isinstance(item, str) or _is_object(item) for item in value
    ):
        _fail(holder, name, "is not a list of ids or objects")
    return list(value)


def texts(holder: Any, name: str) -> list[str]:
    """Return a list of texts; empty if it is missing."""
    value = _value(holder, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        _fail(holder, name, "is not a list of texts")
    return list(value)


def metadata(holder: Any) -> dict[str, str]:
    """Return the metadata of an object; empty if there is none."""
    stored = part(holder, "metadata")
    values: Mapping[str, Any] = stored.to_dict() if _is_object(stored) else {}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def is_deleted(holder: Any) -> bool:
    """Return whether this is an object that was deleted in Stripe. False for ids."""
    return _is_object(holder) and _value(holder, "deleted") is True


def _value(holder: Any, name: str) -> Any:
    if not _is_object(holder):
        raise Unreadable(f"Stripe's answer could not be read: {name} is not in an object")
    return holder[name] if name in holder else None  # noqa: SIM401 - has no `get`


def _is_object(value: Any) -> bool:
    return hasattr(value, "to_dict")


def _fail(holder: Any, name: str, why: str) -> NoReturn:
    kind = getattr(holder, "object", "object")
    raise Unreadable(f"Stripe's answer could not be read: {kind}.{name} {why}")
