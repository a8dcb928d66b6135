"""Normalise user input: invisible characters, width, digits."""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"  # Persian names and emoji are written with them
# Letters that are invisible: Hangul and Khmer fillers, a joiner, the Braille blank.
_BLANK = "\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f\u2800"
# Japanese keyboards type ASCII and the space in a fullwidth form.
_HALF_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}


def without_invisible(text: str, keep: str = "") -> str:
    """Remove zero-width spaces, soft hyphens, byte order marks and direction marks."""
    return "".join(
        char
        for char in text
        if char in keep or (unicodedata.category(char) != "Cf" and char not in _BLANK)
    )


def half_width(text: str) -> str:
    """Convert fullwidth characters, `ａ＠ｂ．ｅｘａｍｐｌｅ`, to ASCII."""
    return text.translate(_HALF_WIDTH)


def strip(text: str) -> str:
    """Return a text without invisible characters, and without control characters around it."""
    return re.sub(r"\A[\s\x00-\x1f\x7f]+|[\s\x00-\x1f\x7f]+\Z", "", without_invisible(text))


def clean_digits(text: str) -> str:
    """Convert digits of any script to ASCII, without spaces and dashes between them.

    Other characters are kept, so that a form can refuse them.
    """
    chars = (char for char in without_invisible(text) if not _is_separator(char))
    return "".join(str(unicodedata.decimal(char, char)) for char in chars)


def clean_name(text: str) -> str:
    """Return a name in composed form (NFC), with single spaces and no invisible characters."""
    visible = without_invisible(" ".join(text.split()), keep=JOINERS)
    printed = "".join(char for char in visible if unicodedata.category(char) != "Cc")
    name = unicodedata.normalize("NFC", printed.strip(" " + JOINERS))
    return name if any(unicodedata.category(char)[0] in "LNPS" for char in name) else ""


def _is_separator(character: str) -> bool:
    """Return whether a character separates digits: a space, a dash, the frame of emoji digits."""
    kind = unicodedata.category(character)
    return character.isspace() or kind in ("Pd", "Mn", "Me") or character in "\u30fc\u2212"
