"""The pages of sign-in: email links, providers, passkeys, and a change of email."""

from saas.auth.views import email_change, oauth, passkeys, sign_in

__all__ = ["email_change", "oauth", "passkeys", "sign_in"]
