"""Read the emails that users received in the sandbox's mailbox."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually


def code_in_mail(visitor: Visitor, email: str = "ann@example.com") -> str:
    match = re.search(r"\b([0-9]{6})\b", visitor.emails_to(email)[0]["text"])
    assert match
    return match[1]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


def link_to(visitor: Visitor, email: str, kind: str = "/auth/email/") -> str:
    """Return the path of the newest link of this kind in the emails to this user."""

    def newest() -> str | None:
        links = (link for mail in visitor.emails_to(email) for link in mail["links"])
        return next((urlsplit(link).path for link in links if kind in link), None)

    return str(eventually(newest))


def email_of(shop: Shop) -> str:
    """Return an email of this test's own: all tests share the mailbox."""
    return f"ann-{shop.key[-12:]}@example.com"


def emails_of(shop: Shop, email: str = "") -> list[dict[str, Any]]:
    """Return the emails in the mailbox, oldest first, without sign-in emails."""
    received = shop.visitor().emails_to(email or email_of(shop))
    return [item for item in reversed(received) if "Sign in" not in item["subject"]]


def subjects(shop: Shop, email: str = "") -> list[str]:
    return [item["subject"] for item in emails_of(shop, email)]
