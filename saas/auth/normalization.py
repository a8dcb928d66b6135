"""One spelling of what people type: pasted, typed on other keyboards, or composed otherwise."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # Persian names and emoji are written with them


def without_invisible(text: str, keep: str = "") -> str:
    """Drop zero-width spaces, soft hyphens, byte order marks, and signs of direction."""
    return "".join(each for each in text if each in keep or unicodedata.category(each) != "Cf")


def digits(text: str) -> str:
    """Return digits of any script as ASCII, without the spaces and dashes between them.

    Anything else stays, so that a form can refuse it.
    """
    kept = (each for each in without_invisible(text) if not _separates(each))
    return "".join(str(unicodedata.decimal(each, each)) for each in kept)


def person_name(text: str) -> str:
    """Return a name in its composed form, with single spaces and nothing invisible in it."""
    shown = without_invisible(" ".join(text.split()), keep=JOINERS)
    printed = "".join(each for each in shown if unicodedata.category(each) != "Cc")
    return unicodedata.normalize("NFC", printed.strip(" " + JOINERS))


def _separates(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Pd"
