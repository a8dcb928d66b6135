"""A user who used every feature: a row in every table that refers to users."""

from __future__ import annotations

from urllib.parse import urlsplit

from saas import database
from saas.auth import accounts, api_tokens, pending_sign_ins, roles
from saas.auth.audit import OPERATOR
from saas.auth.models import Identity, Passkey, User
from saas.billing import access, grants
from tests.harness import stripe_account
from tests.harness.sample_product.models import Report
from tests.harness.shop import Shop
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually

EMAIL, NAME = "quentin.unusual@example.com", "Quentin Unusual"
FORMER = "quentin.former@example.com"
AT_PROVIDER = "quentin.elsewhere@example.com"
KEY_NAME = "Quentin's phone"
IDENTIFYING_WORDS = ("quentin", "unusual")


def create_full_account(shop: Shop, visitor: Visitor) -> User:
    """Sign in, subscribe, change name and email, add sign-in methods, be promoted and demoted."""
    stripe_account.subscriber(shop, FORMER, plan="solo")
    visitor.sign_in(FORMER)
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/name", name=NAME)
    _change_email(visitor)
    with shop.app.app_context():
        user = accounts.get_by_email(EMAIL)
        _add_sign_in_methods(user)
        api_tokens.create(user, "Backup", ["user:read"], None)
        access.use(user, "reports")
        grants.grant(user, "team", reason="Winner", until=None, by=OPERATOR)
        with database.write_transaction() as session:
            session.add(Report(user_id=user.id, title="Quarterly"))
        accounts.get_or_create("admin@example.com", role="admin")
        roles.promote(user, by=OPERATOR)
        roles.demote(user, by=OPERATOR)  # each ends the user's sessions
    visitor.sign_in(EMAIL)
    with shop.app.app_context():
        pending_sign_ins.start("google", "link", "/dashboard", user)
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/email", email="quentin.third@example.com")
    other = shop.visitor()
    other.visit("/login")
    other.submit("/login", email=EMAIL)
    return shop.user(EMAIL)


def _change_email(visitor: Visitor) -> None:
    visitor.visit("/dashboard/settings")
    visitor.submit("/dashboard/settings/email", email=EMAIL)
    links = eventually(lambda: [link for m in visitor.emails_to(EMAIL) for link in m["links"]])
    path = urlsplit(links[0]).path
    visitor.visit(path)
    visitor.submit(path)


def _add_sign_in_methods(user: User) -> None:
    """Write the rows directly; provider and authenticator have their own tests."""
    with database.write_transaction() as session:
        session.add(
            Identity(
                user_id=user.id, provider="google", issuer="https://accounts.example",
                subject="1234", email=AT_PROVIDER,
            )
        )  # fmt: skip
        session.add(
            Passkey(
                user_id=user.id, name=KEY_NAME, credential_id=b"credential",
                public_key=b"public", sign_count=0,
            )
        )  # fmt: skip
