"""Why a way in stays closed, and what a person reads about it."""

from __future__ import annotations

from typing import NamedTuple


class SignInRefused(Exception):
    """Nobody is signed in, linked or confirmed; nothing was changed.

    `reason` is a key of `WORDS`; `provider` is google, github or passkey.
    """

    def __init__(self, reason: str, provider: str = "", detail: str = "") -> None:
        super().__init__(f"{provider or 'sign-in'} refused: {reason} {detail}".strip())
        self.reason = reason
        self.provider = provider


class ErrorText(NamedTuple):
    """A status, a title, and what to do next; `{provider}` is whose answer it was."""

    status: int
    title: str
    advice: str


PROVIDER_NAMES = {"google": "Google", "github": "GitHub", "passkey": "your passkey"}

ERROR_TEXTS = {
    "state": ErrorText(
        400,
        "This sign-in was not started here",
        "It was begun in another browser, finished already, or more than ten minutes ago. "
        "Start again from this page.",
    ),
    "cancelled": ErrorText(
        403,
        "You did not sign in with {provider}",
        "{provider} says that you chose not to. Nothing was changed; try again, or use your mail "
        "address.",
    ),
    "provider_error": ErrorText(
        502,
        "{provider} could not sign you in",
        "Its answer was an error. Nothing was changed; try again in a moment, or use your mail "
        "address.",
    ),
    "untrusted": ErrorText(
        502,
        "The answer could not be trusted",
        "What came back from {provider} does not prove who you are. Nothing was changed; try "
        "again, or use your mail address.",
    ),
    "down": ErrorText(
        503,
        "{provider} does not answer",
        "We waited, and nothing came. Try again in a moment, or use your mail address, which does "
        "not need {provider}.",
    ),
    "no_address": ErrorText(
        403,
        "{provider} did not tell us your address",
        "Add an address to your {provider} account, or sign in with a mailed link.",
    ),
    "unverified": ErrorText(
        403,
        "Your address is not verified at {provider}",
        "Confirm it there and try again, or sign in here with a mailed link, which proves it too.",
    ),
    "disabled": ErrorText(
        403,
        "This account is disabled",
        "You proved who you are, and the account exists, but it may not sign in. Write to us if "
        "you think that this is wrong.",
    ),
    "closing": ErrorText(
        403,
        "This account is being deleted",
        "That takes a few minutes. After it you can sign in again, with a new account.",
    ),
    "signed_in": ErrorText(
        409,
        "You are signed in already",
        "Somebody signed in here while you were at {provider}. Nothing was changed; sign out first "
        "if it is to be somebody else.",
    ),
    "other_person": ErrorText(
        403,
        "That is somebody else",
        "You are signed in, and the account at {provider} that you chose is not linked to you. "
        "Nothing was changed.",
    ),
    "taken": ErrorText(
        409,
        "That {provider} account is in use",
        "It signs somebody else in here. Sign in with it and unlink it there first, or choose "
        "another one.",
    ),
    "linked": ErrorText(
        409,
        "A {provider} account is linked already",
        "Unlink it first if you want to use another one.",
    ),
    "unlinked": ErrorText(
        403,
        "That {provider} account was unlinked",
        "It was taken off an account here, and does not sign in to it any more. Sign in with your "
        "mail address; the settings link it again.",
    ),
    "unknown": ErrorText(
        403,
        "This passkey opens nothing here",
        "It was removed from its account, or the account is gone. Sign in another way.",
    ),
    "registered": ErrorText(
        409, "This passkey is registered already", "Make a new one, or use the one you have."
    ),
    "enough": ErrorText(
        409,
        "You have enough passkeys",
        "You can add up to 20 passkeys. Remove one that you no longer use first.",
    ),
    "last": ErrorText(
        409,
        "This is your last way in",
        "Without it you could not come back. Add another way first.",
    ),
}
