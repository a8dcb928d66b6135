"""Events, emails and the audit log: filtered, replayed, sent again and downloaded."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from saas.billing.models import StripeEvent
from saas.database import db
from saas.mail.models import OutboxMessage
from tests.harness import stripe_account
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

ANN = "ann@example.com"


def break_rows(shop: Shop, model: type, **values: object) -> None:
    with shop.app.app_context():
        db.session.execute(update(model).values(values))
        db.session.commit()


def applied(shop: Shop) -> bool:
    with shop.app.app_context():
        count = db.session.query(StripeEvent).filter(StripeEvent.processed_at.isnot(None)).count()
        return count >= 3


def is_sent(shop: Shop) -> bool:
    with shop.app.app_context():
        sent = db.session.query(OutboxMessage).filter(OutboxMessage.handed_over_at.isnot(None))
        return sent.filter(OutboxMessage.kind == "welcome").count() == 1


def test_failed_events_are_replayed_together(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: applied(shop))
    break_rows(shop, StripeEvent, processed_at=None, attempts=2, last_error="Stripe is down")
    page = admin.visit("/admin/events?state=failed")
    assert "Stripe is down" in page.text

    page = admin.submit("/admin/events/replay")

    assert ": applied." in page.text
    assert "No event has failed." in page.text
    as_the_form = admin.visit("/admin/events?state=failed&age=&type=")
    assert "No event has failed." in as_the_form.text
    assert "Replay the oldest failed ones" not in page.text


def test_an_event_that_was_given_up_on_says_so(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: applied(shop))
    break_rows(shop, StripeEvent, processed_at=None, attempts=4319, last_error="Stripe is down")
    assert "given up" not in admin.visit("/admin/events").text

    break_rows(shop, StripeEvent, attempts=4320)

    assert "4320 attempts, given up" in admin.visit("/admin/events").text


def test_an_email_that_is_not_needed_any_more_is_not_sent_again(shop: Shop, admin: Visitor) -> None:
    _, subscription = stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: is_sent(shop))
    stripe_account.client(shop).v1.subscriptions.cancel(subscription)
    stripe_account.sync(shop, shop.user(ANN))
    page = admin.visit("/admin/emails?kind=welcome")
    [path] = {form.action.partition("?")[0] for form in page.forms if "/send" in form.action}

    page = admin.submit(path)

    assert "The email “Welcome” is not needed any more, so it is not sent" in page.text
    assert "Resend welcome" not in admin.visit("/admin/audit").text


def test_one_event_is_replayed(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: applied(shop))
    admin.visit("/admin/events?type=invoice.paid")

    page = admin.submit("/admin/events/replay")

    assert ": applied." in page.text
    log = " ".join(admin.visit("/admin/audit?action=replay").text.split())
    assert "by admin@example.com: evt_" in log


def test_an_unknown_event_cannot_be_replayed(shop: Shop, admin: Visitor) -> None:
    token = admin.visit("/admin").form("/admin/refresh").fields["csrf_token"]

    data = {"csrf_token": token, "event": "evt_unknown"}
    admin.request("POST", "/admin/events/replay", data=data)

    assert "evt_unknown: unknown both here and in Stripe" in admin.visit("/admin/events").text


def test_an_email_that_was_given_up_on_is_sent_again(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: is_sent(shop))
    break_rows(
        shop, OutboxMessage, due_at=None, handed_over_at=None, attempts=17,
        last_error="550 mailbox full",
    )  # fmt: skip
    page = admin.visit("/admin/emails?state=failed&kind=welcome")
    assert "550 mailbox full" in page.text
    assert ANN in page.text
    [path] = {form.action.partition("?")[0] for form in page.forms if "/send" in form.action}

    page = admin.submit(path)

    assert "The email “Welcome” is sent again" in page.text
    shop.app.test_cli_runner().invoke(args=["mail", "flush"])
    eventually(lambda: "Sent" in admin.visit("/admin/emails?kind=welcome").text)


def test_the_audit_log_is_filtered(shop: Shop, admin: Visitor) -> None:
    run = shop.app.test_cli_runner().invoke
    run(args=["users", "create", ANN])
    run(args=["users", "disable", ANN, "--reason", "Spam"])
    admin.visit(f"/admin/users/{shop.user(ANN).id}/enable")
    admin.submit(admin.page.path)

    def log(query: str) -> str:
        return " ".join(admin.visit(f"/admin/audit?{query}").text.partition("Reason")[2].split())

    assert "by operator: Spam ann@example.com" in log("action=disable")
    assert "Enable" not in log("action=disable")
    assert "Enable" in log("actor=admin@example.com")
    assert "Disable" not in log("actor=admin@example.com")
    assert "Disable" in log(f"user={ANN}")
    assert "No entries" in admin.visit("/admin/audit?user=nobody@example.com").text
    file = admin.request("GET", f"/admin/audit.csv?user={ANN}").text
    assert [line.split(",")[2:] for line in file.splitlines() if "disable" in line] == [
        ['""', '"disable"', f'"{shop.user(ANN).id}"', f'"{ANN}"', '"Spam"']
    ]


def test_events_and_emails_are_downloaded(shop: Shop, admin: Visitor) -> None:
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: applied(shop))

    assert "invoice.paid" in admin.request("GET", "/admin/events.csv?state=applied").text
    assert "welcome" in admin.request("GET", "/admin/emails.csv").text


def test_a_sign_in_email_cannot_be_sent_again(shop: Shop, admin: Visitor) -> None:
    page = admin.visit("/admin/emails?kind=sign_in")

    assert "not stored" in page.text
    assert not [form for form in page.forms if "/send" in form.action]


@pytest.mark.parametrize(
    "after", ["rubbish", "0001-01-01T00:00:00%2B14:00~x", "9999-12-31T23:59:59-14:00~x"]
)
def test_an_invalid_cursor_is_the_beginning(admin: Visitor, after: str) -> None:
    for path in ("events", "emails", "audit", "users", "users?sort=payment"):
        joint = "&" if "?" in path else "?"
        page = admin.visit(f"/admin/{path}{joint}after={after}")
        assert page.response.status_code == 200


def test_the_commands_print_the_audit_log_and_send_an_email_again(
    shop: Shop, admin: Visitor
) -> None:
    run = shop.app.test_cli_runner().invoke
    stripe_account.subscriber(shop, ANN, "solo")
    eventually(lambda: is_sent(shop))
    with shop.app.app_context():
        sent = db.session.query(OutboxMessage.id).filter(OutboxMessage.kind == "welcome").scalar()

    again = run(args=["admin", "send-again", str(sent)])
    unknown = run(args=["admin", "send-again", "00000000-0000-0000-0000-000000000000"])
    signed_out = run(args=["users", "sign-out", ANN, "--reason", "A lost phone"])
    log = run(args=["admin", "audit", "--to", ANN]).output

    assert again.output == "The email welcome is sent again.\n"
    assert (unknown.exit_code, "There is no email" in unknown.output) == (1, True)
    assert signed_out.output == f"Ended 0 sessions of {ANN}.\n"
    assert f"operator  end sessions  {ANN}: A lost phone" in log.partition("\n")[0]
    assert f"operator  resend welcome  {ANN}" in log
    assert run(args=["admin", "audit", "--action", "promote"]).output == ""
    eventually(lambda: len(admin.emails_to(ANN)) == 2)
