"""Decode form bodies: `items[0][price]=price_1` and `expand[]=customer` as nested values."""

import re
from collections.abc import Iterable
from typing import Any

from saas_sandbox.stripe.engine.errors import invalid

MAX_DEPTH = 8
_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if "\0" in key + value:
            raise invalid(f"Invalid string: {key[:100]} contains a null byte.", key[:100])
        _insert(tree, _split_key(key), value, key)
    return {name: _convert_lists(branch) for name, branch in tree.items()}


def _split_key(key: str) -> list[str]:
    match = _KEY.match(key)
    if not match:
        raise invalid(f"Invalid parameter name: {key[:100]}", param=key[:100])

    parts = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
    if len(parts) > MAX_DEPTH:
        raise invalid(f"Parameter is nested too deeply: {key[:100]}", param=key[:100])
    return parts


def _insert(tree: dict[str, Any], parts: list[str], value: str, key: str) -> None:
    *branches, leaf = parts
    for part in branches:
        tree = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(tree, dict):
            raise invalid(f"Invalid hash: {key}", param=key)

    tree[leaf or str(len(tree))] = value


def _convert_lists(branch: Any) -> Any:
    """Convert a hash with the names 0, 1, 2 … to a list."""
    if not isinstance(branch, dict):
        return branch

    values = {name: _convert_lists(value) for name, value in branch.items()}
    if values and all(name.isascii() and name.isdigit() for name in values):
        return [values[name] for name in sorted(values, key=int)]
    return values
