"""GET /api/og returns a card, or an error that names the field."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from PIL import Image

from saas.og.links import card_url


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_card_has_1200_by_630_pixels(mode: str, app: Flask) -> None:
    response = app.test_client().get(f"/api/og?heading=Hello&type=Blog&mode={mode}")

    assert response.status_code == 200
    assert response.mimetype == "image/png"
    card = Image.open(io.BytesIO(response.data)).convert("L")
    assert card.size == (1200, 630)
    background = card.getpixel((600, 500))
    assert (background == 255) is (mode == "light")
    written = card.crop((80, 200, 700, 480)).point(lambda value: abs(value - int(background)) > 100)  # type: ignore[arg-type]
    assert written.getbbox() is not None


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("", "heading", "is missing."),
        ("heading=", "heading", "must not be empty."),
        ("heading=%20%E2%80%8B", "heading", "must not be empty."),
        ("heading=" + "x" * 201, "heading", "has 201 characters; the maximum is 200."),
        ("heading=Hello&mode=blue", "mode", "must be light or dark."),
        ("heading=Hello&type=" + "x" * 81, "type", "has 81 characters; the maximum is 80."),
        ("heading=Hello&template=none", "template", "must be page or post or pricing."),
    ],
)
def test_bad_parameters_are_400_with_the_field_named(
    query: str, field: str, message: str, app: Flask
) -> None:
    response = app.test_client().get(f"/api/og?{query}")

    assert response.status_code == 400
    assert response.json
    assert response.json["error"]["fields"] == {field: [message]}
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "heading",
    [
        "x" * 200,
        "a" + "\u0301" * 150,
        "\u202eevil\u202c",
        "NUL\x00here",
        "lone \ud800 surrogate",
        "العربية والإنجليزية English",
        "日本語の見出し",
        "👩‍👩‍👧‍👦🇩🇪👍🏽",
    ],
)
def test_unusual_headings_give_a_card(heading: str, app: Flask) -> None:
    query = {"heading": heading.encode("utf-8", "surrogatepass")}

    response = app.test_client().get("/api/og", query_string=query)

    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.data)).size == (1200, 630)


def test_a_complete_card_is_cached_and_not_drawn_again(app: Flask) -> None:
    client = app.test_client()
    first = client.get("/api/og?heading=Hello")
    again = client.get(
        "/api/og?heading=Hello&unknown=1", headers={"If-None-Match": first.headers["ETag"]}
    )
    head = client.head("/api/og?heading=Hello")

    assert first.headers["Cache-Control"] == "public, immutable, max-age=31536000"
    assert "Set-Cookie" not in first.headers
    assert "Vary" not in first.headers
    assert (again.status_code, again.data) == (304, b"")
    assert (head.status_code, head.data) == (200, b"")


def test_unsigned_cards_are_rate_limited_and_those_of_our_pages_are_not(app: Flask) -> None:
    client = app.test_client()
    statuses = [client.get(f"/api/og?heading=Card+{n}").status_code for n in range(62)]

    assert statuses[:60] == [200] * 60
    assert statuses[-1] == 429
    assert client.get("/api/og?heading=Card+1").status_code == 200  # cached: nothing to draw
    with app.app_context():
        signed = card_url("Card 100")
    assert client.get(signed).status_code == 200
    assert client.get(signed.replace("100", "101")).status_code == 429


def test_pages_link_to_their_own_card(app: Flask) -> None:
    page = app.test_client().get("/pricing").text

    assert 'property="og:image"' in page
    assert f"{app.config['APP_URL']}/api/og?heading=" in page
    assert "sig=" in page


def test_flask_og_render_writes_a_card(runner: Any, tmp_path: Path) -> None:
    out = tmp_path / "card.png"

    result = runner.invoke(args=["og", "render", "--heading", "Hello", "--out", str(out)])

    assert result.exit_code == 0, result.output
    with Image.open(out) as card:
        assert card.size == (1200, 630)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--heading", "", "--out", "x.png"], 1, "--heading must not be empty."),
        (["--heading", "Hello", "--template", "none", "--out", "x.png"], 1, "--template must be"),
        (["--heading", "Hello", "--out", "/nowhere/x.png"], 1, "cannot be written"),
        (["--heading", "Hello", "--mode", "blue", "--out", "x.png"], 2, "'blue' is not one of"),
        (["--out", "x.png"], 2, "Missing option '--heading'"),
    ],
)
def test_flask_og_render_explains_wrong_arguments(
    args: list[str], code: int, message: str, runner: Any
) -> None:
    result = runner.invoke(args=["og", "render", *args])

    assert result.exit_code == code
    assert message in result.output
