"""Validate parameters against the official SDK's TypedDicts.

Parameters unknown to Stripe are refused, as in Stripe. Parameters that Stripe knows but the sandbox
does not read are refused with another error: `Params` records which ones were read.
"""

import difflib
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

import typing_extensions
from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from saas_sandbox.stripe.engine.errors import StripeError, invalid, missing_param

# Names that the SDK imports only for type checking.
_NAMES = {"StripeContext": str, "Mapping": Mapping}
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE]-?[0-9]{1,2})?")
_UNSET: Any = Literal[""]
# The SDK adds its own class to each `Dict`.
_DUPLICATE_TYPE = UntypedStripeObject


class Params(dict[str, Any]):
    """Parameters that record which of them were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """Return a required parameter."""
        self._seen.add(name)
        if not super().__contains__(name):
            raise missing_param(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._seen.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._seen.add(name)
        return super().get(name, default)

    def section(self, name: str) -> "Params":
        """Return a nested hash, empty if it was not given."""
        value = self.get(name)
        return value if isinstance(value, Params) else Params({})

    def copy_to(self, resource: dict[str, Any], *names: str) -> None:
        """Copy the given fields to an object; an empty value unsets a field."""
        for name in names:
            if name in self:
                value = to_plain(self[name])
                resource[name] = None if value == "" else value

    def unread(self, path: str = "") -> Iterator[str]:
        for name, value in self.items():
            where = f"{path}[{name}]" if path else name
            if name not in self._seen:
                yield where
            elif isinstance(value, Params):
                yield from value.unread(where)
            elif isinstance(value, list):
                for number, entry in enumerate(value):
                    if isinstance(entry, Params):
                        yield from entry.unread(f"{where}[{number}]")


def to_plain(value: Any) -> Any:
    """Return the values as plain dicts and lists, and mark them as read."""
    if isinstance(value, Params):
        return {name: to_plain(value[name]) for name in list(value)}
    if isinstance(value, list):
        return [to_plain(entry) for entry in value]
    return value


def parse_params(shape: type, values: Mapping[str, Any]) -> Params:
    """Return form values in the types that the SDK declares, or raise Stripe's error."""
    return _parse_hash(shape, values, "")


@cache
def get_fields(shape: type) -> dict[str, Any]:
    hints = typing.get_type_hints(shape, localns=_NAMES, include_extras=True)
    inherited = RequestOptions.__annotations__ if not _is_nested(shape) else {}
    return {name: hint for name, hint in hints.items() if name not in inherited}


@cache
def get_required_fields(shape: type) -> frozenset[str]:
    return frozenset(
        name for name, hint in get_fields(shape).items() if get_origin(hint) is not NotRequired
    )


def _is_nested(shape: type) -> bool:
    return "api_key" not in shape.__annotations__


def _parse_hash(shape: type, values: Mapping[str, Any], path: str) -> Params:
    known = get_fields(shape)
    for name in values:
        if name not in known:
            raise _unknown_param(name, known, path)

    for name in sorted(get_required_fields(shape)):
        if name not in values:
            raise missing_param(_join(path, name))

    return Params({n: _parse_value(known[n], value, _join(path, n)) for n, value in values.items()})


def _parse_value(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if origin in (NotRequired, Required, typing_extensions.NotRequired):
        return _parse_value(get_args(hint)[0], value, path)
    if origin is Union or isinstance(hint, typing.types.UnionType):  # type: ignore[attr-defined]
        return _parse_union(get_args(hint), value, path)
    if origin is Literal:
        return _parse_literal(get_args(hint), value, path)
    if origin in (list, typing.Sequence):
        return _parse_list(get_args(hint)[0], value, path)
    if typing.is_typeddict(hint) or typing_extensions.is_typeddict(hint):
        return _parse_nested(hint, value, path)
    if origin is dict and get_args(hint)[1] is not str:
        return _parse_map(get_args(hint)[1], value, path)
    if origin is not None or not isinstance(hint, type) or hint not in SCALAR_PARSERS:
        return _parse_string_hash(value, path)
    return _parse_scalar(hint, value, path)


def _parse_union(hints: tuple[Any, ...], value: Any, path: str) -> Any:
    """Return the first matching type, or raise the error of the last one."""
    if value == "" and _UNSET in hints:
        return ""

    # The SDK allows any string, for values of later versions.
    named = any(get_origin(hint) is Literal and hint != _UNSET for hint in hints)
    skipped = {type(None), _UNSET} | ({str} if named else set())

    if isinstance(value, dict):  # the error for a hash is the most useful one
        hints = tuple(sorted(hints, key=_is_hash))
    last_error = invalid(f"Invalid value for {path}", param=path)
    for hint in (h for h in hints if h not in skipped and get_origin(h) is not _DUPLICATE_TYPE):
        try:
            return _parse_value(hint, value, path)
        except StripeError as error:
            last_error = error
    raise last_error


def _is_hash(hint: Any) -> bool:
    return typing.is_typeddict(hint) or typing_extensions.is_typeddict(hint)


def _parse_literal(choices: tuple[Any, ...], value: Any, path: str) -> Any:
    if value in choices:
        return value

    *most, last = [str(choice) for choice in choices]
    listed = f"one of {', '.join(most)}, or {last}" if most else last
    raise invalid(f"Invalid {path}: must be {listed}", param=path)


def _parse_list(hint: Any, value: Any, path: str) -> list[Any]:
    if value == "":
        return []
    if not isinstance(value, list):
        raise invalid(f"Invalid array: {path}", param=path)
    return [_parse_value(hint, entry, f"{path}[{number}]") for number, entry in enumerate(value)]


def _parse_map(hint: Any, value: Any, path: str) -> Params:
    """Check a hash with arbitrary keys, such as currencies."""
    if not isinstance(value, dict):
        raise invalid(f"Invalid object: {path}", param=path)
    return Params(
        {name: _parse_value(hint, entry, f"{path}[{name}]") for name, entry in value.items()}
    )


def _parse_nested(shape: type, value: Any, path: str) -> Params:
    if not isinstance(value, dict):
        raise invalid(f"Invalid object: {path}", param=path)
    return _parse_hash(shape, value, path)


def _parse_string_hash(value: Any, path: str) -> dict[str, str]:
    """Check a hash with arbitrary keys and string values, such as metadata."""
    if isinstance(value, list):
        value = {str(number): entry for number, entry in enumerate(value)}
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise invalid(f"Invalid hash: {path}", param=path)
    return value


def _parse_scalar(hint: type, value: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise invalid(f"Invalid string: {path}", param=path)
    return SCALAR_PARSERS[hint](value, path)


def _parse_string(value: str, path: str) -> str:
    if value:
        return value

    raise invalid(
        f"You passed an empty string for '{path}'. We assume empty values are an attempt to unset "
        f"a parameter; however '{path}' cannot be unset. You should remove '{path}' from your "
        "request or supply a non-empty value.",
        param=path,
        code="parameter_invalid_empty",
    )


def _parse_integer(value: str, path: str) -> int:
    # Python's int also accepts " 5 ", "1_000" and digits of other scripts.
    if _INTEGER.fullmatch(value) and abs(int(value)) < 1 << 63:
        return int(value)
    raise invalid(f"Invalid integer: {value[:40]}", param=path, code="parameter_invalid_integer")


def _parse_boolean(value: str, path: str) -> bool:
    if value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value[:40]}", param=path)
    return value == "true"


def _parse_float(value: str, path: str) -> float:
    return float(_parse_decimal(value, path))


def _parse_decimal(value: str, path: str) -> Decimal:
    if not _DECIMAL.fullmatch(value):
        raise invalid(f"Invalid decimal: {value[:40]}", param=path)
    return Decimal(value)


SCALAR_PARSERS: dict[type, Callable[[str, str], Any]] = {
    str: _parse_string,
    int: _parse_integer,
    bool: _parse_boolean,
    float: _parse_float,
    Decimal: _parse_decimal,
}


def _unknown_param(name: str, known: Mapping[str, Any], path: str) -> StripeError:
    where = _join(path, name)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f". Did you mean {_join(path, close[0])}?" if close else ""
    return invalid(
        f"Received unknown parameter: {where[:200]}{hint}",
        param=where[:200],
        code="parameter_unknown",
    )


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
