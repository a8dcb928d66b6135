"""Errors of sign-in methods, and the texts that users see."""

from __future__ import annotations

from typing import NamedTuple


class SignInRefused(Exception):
    """The sign-in, link or confirmation was refused; nothing was changed.

    `reason` is a key of `ERROR_TEXTS`; `provider` is google, github or passkey.
    """

    def __init__(self, reason: str, provider: str = "", detail: str = "") -> None:
        super().__init__(f"{provider or 'sign-in'} refused: {reason} {detail}".strip())
        self.reason = reason
        self.provider = provider


class ErrorText(NamedTuple):
    """A status, a title and advice; `{provider}` is replaced by the provider's name."""

    status: int
    title: str
    advice: str


PROVIDER_NAMES = {"google": "Google", "github": "GitHub", "passkey": "your passkey"}

ERROR_TEXTS = {
    "state": ErrorText(
        400,
        "This sign-in wasn't started here",
        "It was started in another browser, is already finished, or is older than ten minutes. "
        "Start again.",
    ),
    "cancelled": ErrorText(
        403,
        "You didn't sign in with {provider}",
        "The sign-in was canceled at {provider}. Nothing was changed. Try again, or use your email "
        "address.",
    ),
    "provider_error": ErrorText(
        502,
        "{provider} couldn't sign you in",
        "It returned an error. Nothing was changed. Try again in a moment, or use your email "
        "address.",
    ),
    "untrusted": ErrorText(
        502,
        "We couldn't verify this sign-in",
        "The response from {provider} doesn't prove who you are. Nothing was changed. Try "
        "again, or use your email address.",
    ),
    "down": ErrorText(
        503,
        "{provider} isn't responding",
        "Try again in a moment, or use your email address, which doesn't need {provider}.",
    ),
    "no_address": ErrorText(
        403,
        "{provider} didn't share your email address",
        "Add an email address to your {provider} account, or sign in by email.",
    ),
    "unverified": ErrorText(
        403,
        "Your address isn't verified at {provider}",
        "Verify it there and try again, or sign in by email, which also verifies it.",
    ),
    "disabled": ErrorText(
        403,
        "This account is disabled",
        "You can't sign in to it. If you think this is a mistake, write to us.",
    ),
    "closing": ErrorText(
        403,
        "This account is being deleted",
        "This takes a few minutes. After that, you can sign up again.",
    ),
    "signed_in": ErrorText(
        409,
        "You're already signed in",
        "This browser signed in while you were at {provider}. Nothing was changed. To use a "
        "different account, sign out first.",
    ),
    "other_user": ErrorText(
        403,
        "That is a different account",
        "The {provider} account that you chose isn't linked to the account you're signed in to. "
        "Nothing was changed.",
    ),
    "taken": ErrorText(
        409,
        "That {provider} account is already in use",
        "It is linked to another account here. Sign in with it and unlink it first, or choose "
        "another one.",
    ),
    "linked": ErrorText(
        409,
        "A {provider} account is already linked",
        "Unlink it first if you want to use another one.",
    ),
    "unlinked": ErrorText(
        403,
        "That {provider} account was unlinked",
        "It no longer signs in to the account here. Sign in with your email address. You can link "
        "it again in the settings.",
    ),
    "unknown": ErrorText(
        403,
        "This passkey isn't linked to an account",
        "It was removed, or its account was deleted. Sign in another way.",
    ),
    "registered": ErrorText(
        409, "This passkey is already registered", "Create a new one, or use the one you have."
    ),
    "enough": ErrorText(
        409,
        "You have reached the limit of passkeys",
        "You can add up to 20 passkeys. Remove one that you no longer use.",
    ),
    "last": ErrorText(
        409,
        "This is your last sign-in method",
        "Add another sign-in method before you remove it.",
    ),
}
