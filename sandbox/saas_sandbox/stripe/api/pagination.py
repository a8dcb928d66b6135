"""Lists like Stripe's: newest first, with cursors. https://docs.stripe.com/api/pagination"""

from typing import Any

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def list_page(
    account: Account,
    kind: str,
    url: str,
    params: Params,
    *,
    condition: tuple[str, list[Any]] = ("1", []),
    **equal: Any,
) -> Resource:
    """Return one page. `equal` filters columns (None: no filter); `condition` is more SQL."""
    where, values = _build_conditions(params, equal)
    limit = _get_limit(params)
    cursor, direction = _get_cursor(account, kind, params)
    order = "DESC" if direction == "<" else "ASC"
    rows = account.store.fetch_all(
        "SELECT id, body FROM objects WHERE account = ? AND type = ? "  # noqa: S608 our own words
        f"AND status IS NOT 'deleted' AND {where} AND {condition[0]} AND seq {direction} ? "
        f"ORDER BY seq {order} LIMIT ?",
        account.id, kind, *values, *condition[1], cursor, limit + 1,
    )  # fmt: skip
    resources = [strip_internal(account.load_row(kind, row)) for row in rows[:limit]]
    return build_list(resources if order == "DESC" else resources[::-1], url, len(rows) > limit)


def build_list(data: list[Resource], url: str, has_more: bool = False) -> Resource:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def list_slice(rows: list[Resource], url: str, params: Params) -> Resource:
    """Return a page of rows that are already loaded, in their own order."""
    rows = [strip_internal(row) for row in rows]
    ids = [row["id"] for row in rows]
    after, before, limit = (
        params.get("starting_after"),
        params.get("ending_before"),
        _get_limit(params),
    )
    for name in (after, before):
        if name and name not in ids:
            raise invalid(f"No such object: '{name}'", code="resource_missing")
    if before:
        rows = rows[: ids.index(before)]
        return build_list(rows[-limit:], url, len(rows) > limit)
    rows = rows[ids.index(after) + 1 :] if after else rows
    return build_list(rows[:limit], url, len(rows) > limit)


def _get_limit(params: Params) -> int:
    limit: int = params.get("limit", 10)
    return limit


def _get_cursor(account: Account, kind: str, params: Params) -> tuple[int, str]:
    after, before = params.get("starting_after"), params.get("ending_before")
    if before:
        return _find_position(account, kind, before, "ending_before"), ">"
    return (_find_position(account, kind, after, "starting_after") if after else 1 << 62), "<"


def _find_position(account: Account, kind: str, id: str, param: str) -> int:
    row = account.store.fetch_one(
        "SELECT seq FROM objects WHERE account = ? AND type = ? AND id = ?", account.id, kind, id
    )
    if row is None:
        account.get(kind, id, param)
        raise invalid(f"No such object: '{id}'", param=param)
    return int(row["seq"])


def _build_conditions(params: Params, equal: dict[str, Any]) -> tuple[str, list[Any]]:
    parts, values = ["1"], []
    for column, value in equal.items():
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    created = params.get("created")
    if isinstance(created, int):
        created = Params({})
        parts.append("created = ?")
        values.append(params["created"])
    for name in created or {}:
        parts.append(f"created {COMPARISONS[name]} ?")
        values.append(created[name])
    return " AND ".join(parts), values
