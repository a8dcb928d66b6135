"""Settings: a name, and closing the account."""

from __future__ import annotations

import pytest

from tests.visitor import Visitor


def test_a_name_is_saved_and_shown(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name="  Ann   Lee ")

    assert page.path == "/dashboard/settings"
    assert "saved" in page.text
    assert page.form("/dashboard/settings/name", name="Ann Lee")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "at least 3"), ("Al", "at least 3"), ("  Al  ", "at least 3"),
        ("A" * 33, "this is 33"), ("Ann\u202eLee", "can be seen"), ("Ann\u0000Lee", "can be seen"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_fit_is_explained_and_what_was_typed_stays(
    typed: str, said: str, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name=typed)

    assert page.status == 422
    assert said in page.text
    assert visitor.request("GET", "/api/user").json()["user"]["name"] is None


@pytest.mark.parametrize("typed", ["Ann", "A" * 32, "Zoë Müller", "李小龙"])
def test_a_name_of_3_to_32_characters_is_accepted(typed: str, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name=typed)

    assert page.status == 200
    assert visitor.request("GET", "/api/user").json()["user"]["name"] == typed


def test_nobody_makes_themselves_an_administrator(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/name", name="Ann Lee", role="admin", is_admin="1")

    assert visitor.request("GET", "/api/user").json()["user"]["role"] == "user"


def test_the_profile_as_json(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    user = visitor.request("GET", "/api/user").json()["user"]

    assert user["email"] == "ann@example.com"
    assert user["subscription"] == {
        "plan": "starter",
        "status": None,
        "interval": None,
        "current_period_end": None,
        "cancel_at": None,
        "recurring": None,
        "next_invoice": None,
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_profile_is_401_for_a_stranger_before_any_word_of_csrf(
    method: str, visitor: Visitor
) -> None:
    answer = visitor.request(method, "/api/user")

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path", ["/dashboard", "/dashboard/billing", "/dashboard/settings", "/dashboard/cards"]
)
def test_a_stranger_is_led_to_the_sign_in_and_back(path: str, visitor: Visitor) -> None:
    answer = visitor.request("GET", path)

    assert answer.status_code == 303
    assert visitor.sign_in("ann@example.com", start=answer.headers["Location"]).path == path
