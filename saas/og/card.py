"""The parameters of a card."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

VERSION = "2"  # increase it when cards look different, to invalidate caches
MODES = ("light", "dark")


@dataclass(frozen=True)
class Card:
    """The parameters of a card, cleaned. Empty ones are not drawn."""

    heading: str
    type: str = ""
    mode: str = "light"
    template: str = "page"
    line: str = ""
    author: str = ""
    date: str = ""
    plan: str = ""
    price: str = ""

    @property
    def query(self) -> str:
        """The canonical query string: parameters other than the default, in field order."""
        return urlencode({k: v for k, v in vars(self).items() if v != _DEFAULTS[k]})

    def tag(self, surroundings: str) -> str:
        """Return the ETag: the same for the same card, version and `surroundings`."""
        content = f"{VERSION}\n{self.query}\n{surroundings}"
        return hashlib.sha256(content.encode()).hexdigest()[:24]


_DEFAULTS = asdict(Card(heading=""))
