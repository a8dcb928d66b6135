"""Who there is: a few people ready to be, and anybody who is typed in."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Address:
    """An address. `hosted`: whether the provider runs the mailbox, as Google may."""

    email: str
    verified: bool = True
    hosted: bool = True


@dataclass(frozen=True)
class Person:
    """An account at the provider. The first address is the primary one, and all that Google tells.

    `number` is what a client should know somebody by: addresses and names change, it does not.
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
        wanted = self.primary.email.split("@")[0] if self.primary else self.name
        letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in wanted.lower())
        return "-".join(filter(None, letters.split("-"))) or f"user{self.number[-6:]}"

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Person":
        person = json.loads(text)
        addresses = tuple(Address(**address) for address in person.pop("addresses"))
        return cls(addresses=addresses, **person)


class NobodyError(ValueError):
    """What was typed in is nobody yet; `field` is where, the message says what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def number_of(account: str) -> str:
    """Twenty-one digits, as Google's: the same for the same account, today and after a restart."""
    digest = sha256(account.strip().lower().encode()).digest()
    return str(10**20 + int.from_bytes(digest) % (9 * 10**20))


def _ready(name: str, *addresses: Address) -> Person:
    return Person(number_of(addresses[0].email if addresses else name), name, addresses)


READY: Mapping[str, Person] = {
    "ada": _ready("Ada Lovelace", Address("ada@example.com")),
    "grace": _ready(
        "Grace Hopper", Address("grace@example.com"), Address("grace@navy.example", verified=False)
    ),
    # Only his second address is verified: who takes "any verified one" takes the wrong one.
    "alan": _ready(
        "Alan Turing", Address("alan@example.com", verified=False), Address("alan@kings.example")
    ),
    "emmy": _ready("Emmy Noether"),
}


def typed_in(email: str, name: str, address: str, account: str) -> Person:
    """Somebody else. `address` is "verified", "elsewhere", "unverified" or "none".

    "elsewhere" is verified, with a mailbox that Google does not run.

    `account` is for those who changed their address: the one that the account began with.
    """
    if address not in ("verified", "elsewhere", "unverified", "none"):
        raise NobodyError("address", "Choose one of the four.")
    _must_be_text("name", name)
    _must_be_text("account", account)
    addresses: tuple[Address, ...] = ()
    if address != "none":
        _must_be_an_address(email)
        is_verified = address in ("verified", "elsewhere")
        addresses = (Address(email, is_verified, hosted=address != "elsewhere"),)
    return Person(number_of(account or email or name), name, addresses)


def _must_be_an_address(email: str) -> None:
    """Anything of that shape: a client has to withstand the odd ones."""
    _must_be_text("email", email)
    before, _, after = email.rpartition("@")
    if not before or not after or any(c.isspace() for c in email):
        raise NobodyError("email", "Enter an address such as ada@example.com.")


def _must_be_text(field: str, text: str) -> None:
    if len(text) > 254:
        raise NobodyError(field, "Enter at most 254 characters.")
    if not text.isprintable():
        raise NobodyError(field, "Use visible characters only, without line breaks.")
