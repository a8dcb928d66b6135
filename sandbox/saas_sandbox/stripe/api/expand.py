"""`expand[]=latest_invoice.customer`: replace ids with objects.

https://docs.stripe.com/expand – at most four levels deep.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from saas_sandbox.stripe.engine import ids
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

MAX_LEVELS = 4

# Fields that are only included when expanded, by kind of object and path; each family adds its own.
INCLUDABLE_FIELDS: dict[tuple[str, str], Callable[[Account, Resource], Any]] = {}


class Location(NamedTuple):
    """A field: the kind of its object, and the path inside it."""

    owner: Resource
    field: str


def expand_paths(account: Account, resource: Resource, paths: list[str]) -> Resource:
    for path in paths:
        resource = _expand_path(account, resource, path.split("."), path)
    return resource


def check_depth(path: str) -> None:
    if len([part for part in path.split(".") if part != "data"]) > MAX_LEVELS:
        raise invalid(
            f"You cannot expand more than 4 levels of a property. Property: {path[:200]}",
            param="expand",
        )


def _expand_path(
    account: Account, value: Any, parts: list[str], path: str, place: Location | None = None
) -> Any:
    """Follow a path. `place` is the position of a hash without its own `object`."""
    if isinstance(value, list):
        return [_expand_path(account, entry, parts, path) for entry in value]
    if not parts or value is None:
        return value
    if not isinstance(value, dict):
        raise _not_expandable(path)

    name, *rest = parts
    here = _locate(value, place, name)
    include = INCLUDABLE_FIELDS.get((str(here.owner.get("object")), here.field))
    if include and not value.get(name):
        inside = include(account, here.owner)
    elif name in value:
        inside = _resolve(account, value[name], path, last=not rest)
    else:
        raise _not_expandable(path)
    return {**value, name: _expand_path(account, inside, rest, path, here)}


def _locate(value: Resource, place: Location | None, name: str) -> Location:
    if place is None or isinstance(value.get("object"), str):
        return Location(value, name)
    return Location(place.owner, f"{place.field}.{name}")


def _resolve(account: Account, value: Any, path: str, *, last: bool) -> Any:
    if isinstance(value, str):
        return _look_up(account, value, path)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return [_look_up(account, entry, path) for entry in value]
    if last and value is not None and not _is_object(value):
        raise _not_expandable(path)
    return value


def _look_up(account: Account, id: str, path: str) -> Resource:
    kind = ids.kind_from_id(id)
    resource = account.find(kind, id) if kind else account.find("coupon", id)
    if resource is None:
        raise _not_expandable(path)
    return strip_internal(resource)


def _is_object(value: Any) -> bool:
    """Return whether a value is already expanded: an object, a list object or a list of them."""
    if isinstance(value, list):
        return all(_is_object(entry) for entry in value)
    return isinstance(value, dict) and "object" in value


def _not_expandable(path: str) -> Exception:
    name = path.rpartition(".")[2]
    return invalid(
        f"This property cannot be expanded ({name}). You may want to try expanding one of its "
        "neighbours, or leave it out.",
        param="expand",
    )
