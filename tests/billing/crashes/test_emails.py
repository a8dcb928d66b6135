"""Sending a mail: there once, or the same mail twice where nobody can know."""

from __future__ import annotations

import requests

from tests.billing.cases import case
from tests.billing.crashes.steps import ask_to_sign_in, email, every_step, run_tasks
from tests.harness.live_shop import LiveShop


@case(5, "mails once")
def test_a_mail_arrives_at_whatever_step_we_died(live: LiveShop) -> None:
    responses: list[requests.Response | None] = []
    twice: list[int] = []
    for die_at in every_step(
        responses,
        "INSERT sign_in_links", "INSERT outbox_messages", "COMMIT", "UPDATE outbox_messages",
        "COMMIT", "SMTP EHLO", "SMTP DATA", "SMTP the mail", "SMTP QUIT",
        "UPDATE outbox_messages", "COMMIT", "the answer",
    ):  # fmt: skip
        address = email()

        responses.append(ask_to_sign_in(live, address, die_at))

        run_tasks(live)
        handed = live.inbox.to(address)
        if not handed:  # nothing had been promised yet, and no answer was given: asked again
            ask_to_sign_in(live, address, 0)
            handed = live.inbox.to(address)
        assert len(set(handed)) == 1
        if len(handed) > 1:
            twice.append(die_at)
        assert len(handed) <= 2

    steps = str(responses[-1].headers["X-Steps"]).split("; ")  # type: ignore[union-attr]
    accepted = steps.index("SMTP QUIT") + 1
    noted = len(steps) - steps[::-1].index("COMMIT")
    assert twice == list(range(accepted, noted + 1))  # between its acceptance and our note of it
