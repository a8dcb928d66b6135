"""One spelling of what people type: pasted, typed on other keyboards, or composed otherwise."""

from __future__ import annotations

import re
import unicodedata

JOINERS = "\u200c\u200d"  # Persian names and emoji are written with them
# Drawn as nothing, though letters: Hangul and Khmer fillers, a joiner, the blank of Braille.
_BLANK = "\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f\u2800"
# The keyboard of Japanese writes ASCII in a form of double width, and its space.
_HALF_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)} | {0x3000: 0x20}


def without_invisible(text: str, keep: str = "") -> str:
    """Drop zero-width spaces, soft hyphens, byte order marks, and signs of direction."""
    return "".join(
        char
        for char in text
        if char in keep or (unicodedata.category(char) != "Cf" and char not in _BLANK)
    )


def half_width(text: str) -> str:
    """Return ASCII that was typed in double width, `ａ＠ｂ．ｅｘａｍｐｌｅ`, as ASCII."""
    return text.translate(_HALF_WIDTH)


def strip(text: str) -> str:
    """Return a text without anything invisible in it, and without control characters around it."""
    return re.sub(r"\A[\s\x00-\x1f\x7f]+|[\s\x00-\x1f\x7f]+\Z", "", without_invisible(text))


def clean_digits(text: str) -> str:
    """Return digits of any script as ASCII, without the spaces and dashes between them.

    Anything else stays, so that a form can refuse it.
    """
    chars = (char for char in without_invisible(text) if not _is_separator(char))
    return "".join(str(unicodedata.decimal(char, char)) for char in chars)


def clean_name(text: str) -> str:
    """Return a name in its composed form, with single spaces and nothing invisible in it."""
    shown = without_invisible(" ".join(text.split()), keep=JOINERS)
    printed = "".join(char for char in shown if unicodedata.category(char) != "Cc")
    name = unicodedata.normalize("NFC", printed.strip(" " + JOINERS))
    return name if any(unicodedata.category(char)[0] in "LNPS" for char in name) else ""


def _is_separator(character: str) -> bool:
    """Spaces, dashes and what is typed for one, and the frame of a digit as an emoji."""
    kind = unicodedata.category(character)
    return character.isspace() or kind in ("Pd", "Mn", "Me") or character in "\u30fc\u2212"
