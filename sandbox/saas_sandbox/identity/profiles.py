"""User profiles: a few prepared ones, and custom ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Email:
    """An email address. `hosted`: whether the provider hosts the mailbox."""

    email: str
    verified: bool = True
    hosted: bool = True


@dataclass(frozen=True)
class User:
    """An account at the provider. The first address is the primary one; Google reports only that.

    Clients should identify users by `number`, because addresses and names change.
    """

    number: str
    name: str = ""
    emails: tuple[Email, ...] = ()

    @property
    def primary(self) -> Email | None:
        return self.emails[0] if self.emails else None

    @property
    def login(self) -> str:
        """GitHub's user name: letters, digits and single hyphens."""
        username = self.primary.email.split("@")[0] if self.primary else self.name
        letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in username.lower())
        return "-".join(filter(None, letters.split("-"))) or f"user{self.number[-6:]}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "User":
        fields = json.loads(text)
        emails = tuple(Email(**email) for email in fields.pop("emails"))
        return cls(emails=emails, **fields)


class InvalidProfileError(ValueError):
    """The custom profile is invalid; `field` names the field, and the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def derive_number(account: str) -> str:
    """Return 21 digits like Google's: always the same for the same account."""
    digest = sha256(account.strip().lower().encode()).digest()
    return str(10**20 + int.from_bytes(digest) % (9 * 10**20))


def _test_user(name: str, *emails: Email) -> User:
    return User(derive_number(emails[0].email if emails else name), name, emails)


TEST_USERS: Mapping[str, User] = {
    "ada": _test_user("Ada Lovelace", Email("ada@example.com")),
    "grace": _test_user(
        "Grace Hopper", Email("grace@example.com"), Email("grace@navy.example", verified=False)
    ),
    # Only his second address is verified, to detect clients that accept any verified address.
    "alan": _test_user(
        "Alan Turing", Email("alan@example.com", verified=False), Email("alan@kings.example")
    ),
    "emmy": _test_user("Emmy Noether"),
}


def build_custom_user(email: str, name: str, address: str, account: str) -> User:
    """Return a custom profile. `address` is "verified", "elsewhere", "unverified" or "none".

    "elsewhere" is verified, but the mailbox is not hosted by Google.

    `account` simulates a changed address: it is the account's original address.
    """
    if address not in ("verified", "elsewhere", "unverified", "none"):
        raise InvalidProfileError("address", "Choose one of the four options.")
    _check_text("name", name)
    _check_text("account", account)
    emails: tuple[Email, ...] = ()
    if address != "none":
        _check_email(email)
        is_verified = address in ("verified", "elsewhere")
        emails = (Email(email, is_verified, hosted=address != "elsewhere"),)
    return User(derive_number(account or email or name), name, emails)


def _check_email(email: str) -> None:
    """Check the shape only, because clients must withstand unusual addresses."""
    _check_text("email", email)
    before, _, after = email.rpartition("@")
    if not before or not after or any(c.isspace() for c in email):
        raise InvalidProfileError("email", "Enter an email address such as ada@example.com.")


def _check_text(field: str, text: str) -> None:
    if len(text) > 254:
        raise InvalidProfileError(field, "Enter at most 254 characters.")
    if not text.isprintable():
        raise InvalidProfileError(field, "Use visible characters only, without line breaks.")
