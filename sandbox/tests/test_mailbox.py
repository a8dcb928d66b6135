"""The mailbox: Resend's API to send emails, and pages to read them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from .conftest import Browser

MAIL = {
    "from": "App <hello@example.com>",
    "to": ["ada@example.com"],
    "subject": "Sign in <now>",
    "html": '<style>p{color:red}</style><p>Hi <a href="http://localhost:5000/l/1?a=1&amp;b=2">go</a>',
    "text": "Hi http://localhost:5000/l/1?a=1&b=2.",
    "headers": {"Message-ID": "<1@example.com>"},
}


def send(app: Flask, key: str | None = None, **changes: Any) -> Any:
    headers = {"Authorization": "Bearer re_test"} | ({"Idempotency-Key": key} if key else {})
    return app.test_client().post("/resend/emails", json={**MAIL, **changes}, headers=headers)


def test_a_sent_email_is_in_the_mailbox(app: Flask) -> None:
    id = send(app).json["id"]
    send(app, subject="Later")

    later, first = app.test_client().get("/mail.json").json["messages"]

    assert (later["subject"], first["subject"]) == ("Later", "Sign in <now>")
    assert (first["id"], first["to"]) == (id, ["ada@example.com"])
    assert first["links"] == ["http://localhost:5000/l/1?a=1&b=2"]
    assert set(first) == {"id", "to", "subject", "text", "html", "links", "created"}


def test_the_same_key_sends_once(app: Flask) -> None:
    assert send(app, key="k1").json == send(app, key="k1").json

    assert len(app.test_client().get("/mail.json").json["messages"]) == 1
    assert send(app, key="k1", subject="Other").status_code == 409


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"to": []}, "`to`"),
        ({"to": 5}, "`to`"),
        ({"subject": None}, "`subject`"),
        ({"html": None, "text": None}, "`html` or `text`"),
        ({"headers": "x"}, "`headers`"),
    ],
)
def test_an_incomplete_email_is_refused(app: Flask, changes: dict[str, Any], words: str) -> None:
    response = send(app, **changes)

    assert response.status_code == 422
    assert words in response.json["message"]


def test_without_a_key_nothing_is_sent(app: Flask) -> None:
    assert app.test_client().post("/resend/emails", json=MAIL).status_code == 401


def test_invalid_json_is_refused(app: Flask) -> None:
    response = app.test_client().post(
        "/resend/emails", data="{", headers={"Authorization": "Bearer re_test"}
    )

    assert response.status_code == 422


def test_an_email_is_shown_as_html_and_text_with_working_links(
    app: Flask, browser: Browser
) -> None:
    id = send(app).json["id"]

    assert "Sign in &lt;now&gt;" in browser.get("/mail").text
    page = browser.get(f"/mail/{id}").text
    assert 'href="http://localhost:5000/l/1?a=1&amp;b=2"' in page
    assert f'src="/mail/{id}/html"' in page


def test_the_html_runs_no_scripts_and_may_be_styled(app: Flask, browser: Browser) -> None:
    id = send(app).json["id"]

    body = browser.get(f"/mail/{id}/html")

    assert body.headers["Content-Security-Policy"].startswith(
        "sandbox allow-top-navigation-by-user-activation; style-src 'unsafe-inline'"
    )
    assert body.text == '<base target="_top">' + MAIL["html"]


def test_emails_can_be_searched_by_recipient(app: Flask, browser: Browser) -> None:
    send(app)
    send(app, to="grace@example.com", subject="For Grace")

    page = browser.get("/mail?to=GRACE").text

    assert "For Grace" in page
    assert "Sign in" not in page
    assert "No emails to" in browser.get("/mail?to=nobody").text


def test_an_email_shows_the_day_it_was_sent(app: Flask, browser: Browser) -> None:
    id = send(app).json["id"]
    today = f"{datetime.now(UTC):%-d %b %Y}, "

    assert today in browser.get("/mail").text
    assert today in browser.get(f"/mail/{id}").text


@pytest.mark.parametrize("path", ["/", "/mail", "/stripe/", "/identity/"])
def test_every_part_of_the_sandbox_links_to_the_others(path: str, browser: Browser) -> None:
    page = browser.get(path).text

    for other in ("/stripe/", "/mail", "/identity/"):
        assert f'<a class="tab" href="{other}"' in page
    assert page.count("aria-current") == (path != "/")


def test_an_unknown_email_is_not_found(browser: Browser) -> None:
    assert browser.get("/mail/unknown").status_code == 404
    assert browser.get("/mail/unknown/html").status_code == 404
