"""User profiles: a few prepared ones, and custom ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Address:
    """An email address. `hosted`: whether the provider hosts the mailbox."""

    email: str
    verified: bool = True
    hosted: bool = True


@dataclass(frozen=True)
class Person:
    """An account at the provider. The first address is the primary one; Google reports only that.

    Clients should identify users by `number`, because addresses and names change.
    """

    number: str
    name: str = ""
    addresses: tuple[Address, ...] = ()

    @property
    def primary(self) -> Address | None:
        return self.addresses[0] if self.addresses else None

    @property
    def login(self) -> str:
        """GitHub's user name: letters, digits and single hyphens."""
        username = self.primary.email.split("@")[0] if self.primary else self.name
        letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in username.lower())
        return "-".join(filter(None, letters.split("-"))) or f"user{self.number[-6:]}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Person":
        fields = json.loads(text)
        addresses = tuple(Address(**address) for address in fields.pop("addresses"))
        return cls(addresses=addresses, **fields)


class NobodyError(ValueError):
    """The custom profile is invalid; `field` is the field, and the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def number_of(account: str) -> str:
    """Return 21 digits like Google's: always the same for the same account."""
    digest = sha256(account.strip().lower().encode()).digest()
    return str(10**20 + int.from_bytes(digest) % (9 * 10**20))


def _ready(name: str, *addresses: Address) -> Person:
    return Person(number_of(addresses[0].email if addresses else name), name, addresses)


READY: Mapping[str, Person] = {
    "ada": _ready("Ada Lovelace", Address("ada@example.com")),
    "grace": _ready(
        "Grace Hopper", Address("grace@example.com"), Address("grace@navy.example", verified=False)
    ),
    # Only his second address is verified, to detect clients that accept any verified address.
    "alan": _ready(
        "Alan Turing", Address("alan@example.com", verified=False), Address("alan@kings.example")
    ),
    "emmy": _ready("Emmy Noether"),
}


def typed_in(email: str, name: str, address: str, account: str) -> Person:
    """Return a custom profile. `address` is "verified", "elsewhere", "unverified" or "none".

    "elsewhere" is verified, but the mailbox is not hosted by Google.

    `account` simulates a changed address: it is the address at the creation of the account.
    """
    if address not in ("verified", "elsewhere", "unverified", "none"):
        raise NobodyError("address", "Choose one of the four options.")
    _must_be_text("name", name)
    _must_be_text("account", account)
    addresses: tuple[Address, ...] = ()
    if address != "none":
        _must_be_an_address(email)
        is_verified = address in ("verified", "elsewhere")
        addresses = (Address(email, is_verified, hosted=address != "elsewhere"),)
    return Person(number_of(account or email or name), name, addresses)


def _must_be_an_address(email: str) -> None:
    """Check the shape only, because clients must withstand unusual addresses."""
    _must_be_text("email", email)
    before, _, after = email.rpartition("@")
    if not before or not after or any(c.isspace() for c in email):
        raise NobodyError("email", "Enter an email address such as ada@example.com.")


def _must_be_text(field: str, text: str) -> None:
    if len(text) > 254:
        raise NobodyError(field, "Enter at most 254 characters.")
    if not text.isprintable():
        raise NobodyError(field, "Use visible characters only, without line breaks.")
