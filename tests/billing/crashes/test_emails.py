"""Emails after crashes: delivered once, or twice with the same Message-ID."""

from __future__ import annotations

import requests

from tests.billing.cases import case
from tests.billing.crashes.steps import ask_to_sign_in, email, every_step, run_tasks
from tests.harness.live_shop import LiveShop


@case(5, "emails once")
def test_an_email_arrives_after_a_crash_at_any_step(live: LiveShop) -> None:
    responses: list[requests.Response | None] = []
    twice: list[int] = []
    for die_at in every_step(
        responses,
        "INSERT sign_in_links", "INSERT outbox_messages", "COMMIT", "UPDATE outbox_messages",
        "COMMIT", "SMTP EHLO", "SMTP DATA", "SMTP the mail", "SMTP QUIT",
        "UPDATE outbox_messages", "COMMIT", "the response",
    ):  # fmt: skip
        address = email()

        responses.append(ask_to_sign_in(live, address, die_at))

        run_tasks(live)
        handed = live.inbox.to(address)
        if not handed:  # nothing was enqueued and no response was sent, so the user tries again
            ask_to_sign_in(live, address, 0)
            handed = live.inbox.to(address)
        assert len(set(handed)) == 1
        if len(handed) > 1:
            twice.append(die_at)
        assert len(handed) <= 2

    steps = str(responses[-1].headers["X-Steps"]).split("; ")  # type: ignore[union-attr]
    accepted = steps.index("SMTP QUIT") + 1
    noted = len(steps) - steps[::-1].index("COMMIT")
    assert twice == list(range(accepted, noted + 1))  # accepted, but not recorded
