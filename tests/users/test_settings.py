"""Settings: the name, and the profile as JSON."""

from __future__ import annotations

import pytest

from tests.harness.visitor import Visitor


def test_a_name_is_saved_and_shown(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name="  Ann   Lee ")

    assert page.path == "/dashboard/settings"
    assert "saved" in page.text
    assert page.form("/dashboard/settings/name", name="Ann Lee")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "Enter your name"), ("  \u200b ", "Enter your name"), ("\u200d", "Enter your name"),
        ("\u3164", "Enter your name"), ("\u2800 \ufe0f", "Enter your name"),
        ("\u115f\u0301", "Enter your name"),
        ("A" * 101, "You entered 101"), ("Ann\ue000Lee", "visible characters"),
    ],
)  # fmt: skip
def test_an_invalid_name_is_explained_and_stays_in_the_form(
    typed: str, message: str, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name=typed)

    assert page.status == 422
    assert message in page.text
    assert visitor.request("GET", "/api/user").json()["user"]["name"] is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ann\u202eLee", "AnnLee"),
        ("Ann\u0000\u00ad Lee\u200b", "Ann Lee"),
        ("Zoe\u0308 Mu\u0308ller", "Zoë Müller"),
        ("\u200dAnn\u200c", "Ann"),
    ],
)
def test_invisible_characters_are_removed_from_a_name(
    typed: str, kept: str, visitor: Visitor
) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/name", name=typed)

    assert visitor.request("GET", "/api/user").json()["user"]["name"] == kept


@pytest.mark.parametrize(
    "typed",
    ["X", "Bo", "Ng", "李明", "A" * 49, "A" * 100, "Zoë Müller", "علی\u200cرضا", "👩\u200d💻 Ada"],
)
def test_a_name_of_1_to_100_characters_is_accepted(typed: str, visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    page = visitor.submit("/dashboard/settings/name", name=typed)

    assert page.status == 200
    assert visitor.request("GET", "/api/user").json()["user"]["name"] == typed


def test_users_cannot_make_themselves_administrators(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")
    visitor.visit("/dashboard/settings")

    visitor.submit("/dashboard/settings/name", name="Ann Lee", role="admin", is_admin="1")

    assert visitor.request("GET", "/api/user").json()["user"]["role"] == "user"


def test_the_profile_is_available_as_json(visitor: Visitor) -> None:
    visitor.sign_in("ann@example.com")

    user = visitor.request("GET", "/api/user").json()["user"]

    assert user["email"] == "ann@example.com"
    assert user["subscription"] == {
        "plan": "hobby",
        "features": [],
        "granted": None,
        "status": None,
        "interval": None,
        "current_period_end": None,
        "cancel_at": None,
        "recurring": None,
        "next_invoice": None,
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_the_profile_is_401_for_a_signed_out_visitor_before_the_csrf_check(
    method: str, visitor: Visitor
) -> None:
    response = visitor.request(method, "/api/user")

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(
    "path", ["/dashboard", "/dashboard/billing", "/dashboard/settings", "/dashboard/reports"]
)
def test_a_signed_out_visitor_is_redirected_to_the_sign_in_and_back(
    path: str, visitor: Visitor
) -> None:
    response = visitor.request("GET", path)

    assert response.status_code == 303
    assert visitor.sign_in("ann@example.com", start=response.headers["Location"]).path == path
