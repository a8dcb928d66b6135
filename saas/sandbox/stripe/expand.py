"""`expand[]=latest_invoice.customer`: ids replaced by what they stand for.

https://docs.stripe.com/expand – at most four levels deep.
"""

from collections.abc import Callable
from typing import Any

from . import ids
from .account import Account
from .errors import invalid
from .resource import Resource, visible

MAX_LEVELS = 4

# Fields that are only there when asked for, by kind of object; each family adds its own.
INCLUDABLE: dict[tuple[str, str], Callable[[Account, Resource], Any]] = {}


def expanded(account: Account, answer: Resource, paths: list[str]) -> Resource:
    for path in paths:
        answer = _along(account, answer, path.split("."), path)
    return answer


def check_depth(path: str) -> None:
    if len([part for part in path.split(".") if part != "data"]) > MAX_LEVELS:
        raise invalid(
            f"You cannot expand more than 4 levels of a property. Property: {path[:200]}",
            param="expand",
        )


def _along(account: Account, value: Any, parts: list[str], path: str) -> Any:
    if isinstance(value, list):
        return [_along(account, entry, parts, path) for entry in value]
    if not parts or value is None:
        return value
    if not isinstance(value, dict):
        raise _cannot(path)

    name, *rest = parts
    if name not in value and (value.get("object"), name) not in INCLUDABLE:
        raise _cannot(path)
    inside = _resolved(account, value, name, path, last=not rest)
    return {**value, name: _along(account, inside, rest, path)}


def _resolved(account: Account, holder: Resource, name: str, path: str, *, last: bool) -> Any:
    include = INCLUDABLE.get((holder.get("object", ""), name))
    if include and not holder.get(name):
        return include(account, holder)

    value = holder[name]
    if isinstance(value, str):
        return _looked_up(account, value, path)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return [_looked_up(account, entry, path) for entry in value]
    if last and value is not None and not _is_object(value):
        raise _cannot(path)
    return value


def _looked_up(account: Account, id: str, path: str) -> Resource:
    kind = ids.kind_of(id)
    found = account.find(kind, id) if kind else account.find("coupon", id)
    if found is None:
        raise _cannot(path)
    return visible(found)


def _is_object(value: Any) -> bool:
    """Already there in full: an object, a list object, or objects in a list."""
    if isinstance(value, list):
        return all(_is_object(entry) for entry in value)
    return isinstance(value, dict) and "object" in value


def _cannot(path: str) -> Exception:
    name = path.rpartition(".")[2]
    return invalid(
        f"This property cannot be expanded ({name}). You may want to try expanding one of its "
        "neighbours, or leave it out.",
        param="expand",
    )
