"""Every route × (anonymous, user, administrator) × method, as written in `routes.py`."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.harness.clients import (
    METHODS,
    ROLES,
    client_for,
    csrf_token_for,
    path_for,
    routes,
    status_or_redirect,
)
from tests.security.routes import ROUTES


def test_every_route_is_listed_with_its_access(app: Flask) -> None:
    there = {name for name, _ in routes(app)}

    assert there == set(ROUTES), (
        "List each new route in tests/security/routes.py, with its responses to an anonymous "
        f"visitor, a user and an administrator. Not listed: {sorted(there - set(ROUTES))}. "
        f"Listed, and missing: {sorted(set(ROUTES) - there)}."
    )


@pytest.mark.parametrize("who", ROLES)
def test_every_role_gets_the_listed_responses(app: Flask, who: str) -> None:
    wrong = {}
    for name, rule in routes(app):
        client = client_for(app, who)
        headers = {"X-CSRFToken": csrf_token_for(client)}
        response = client.open(
            path_for(app, rule), method=name.split()[0], headers=headers, buffered=True
        )
        expected = ROUTES.get(name, ("no line",) * len(ROLES))[ROLES.index(who)]
        if status_or_redirect(response) != expected:
            wrong[name] = f"{status_or_redirect(response)} instead of {expected}"

    assert wrong == {}


@pytest.mark.parametrize("who", ROLES)
def test_unsupported_methods_are_refused(app: Flask, who: str) -> None:
    client = client_for(app, who)
    headers = {"X-CSRFToken": csrf_token_for(client)}
    has: dict[str, set[str]] = {}
    for name, rule in routes(app):
        has.setdefault(path_for(app, rule), set()).add(name.split()[0])

    answered = {}
    for path, there in has.items():
        for method in set(METHODS) - there:
            response = client.open(
                path.replace("<", "").replace(">", ""), method=method, headers=headers
            )
            if response.status_code not in (404, 405):
                answered[f"{method} {path}"] = response.status_code

    assert answered == {}
