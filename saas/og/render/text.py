"""Clean text before it is drawn, and find possible line breaks.

This module only handles characters, not fonts or pixels.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import regex

LONGEST = 500  # maximum characters of a heading; a card fits less than half of them
ELLIPSIS = "…"

_MARKS = 4  # per letter: Hebrew needs three, abuse uses thousands
_JOINERS = "\u200c\u200d"  # used in emoji families, Persian and Indic scripts
_UNSEEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
_MARK = frozenset(("Mn", "Me", "Mc"))

_HAN = "\u2e80-\u2fff\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3041-\u30ff\u31f0-\u31ff"
_IDEOGRAPH = re.compile(f"[{_HAN}{_KANA}\u3001-\u303f\uff00-\uffef]")
# Approximate start of a Japanese word: kanji or katakana after hiragana (inflections, particles),
# or after a full stop or comma.
_JAPANESE_WORD = re.compile(
    rf"(?<=[\u3041-\u309f、。！？])(?=[{_HAN}\u30a1-\u30fa「『（A-Za-z0-9])|(?<=[」』）])(?=[{_HAN}])"
)
# Characters that must not begin a line, or end one (JIS X 4051, shortened).
_NOT_FIRST = frozenset(
    "、。，．：；！？」』）］｝】〉》〕ー々ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ…‥・%％"
)
_NOT_LAST = frozenset("「『（［｛【〈《〔")
_AFTER_DASH = re.compile(r"(?<=[^\W\d][-/–—])(?=\w)")
# Thai and Lao write some vowels before their consonant, so a syllable starts there.
_BEFORE_VOWEL = re.compile("(?<=[\u0e01-\u0e5b\u0e81-\u0edf])(?=[\u0e40-\u0e44\u0ec0-\u0ec4])")

_REGIONAL = "[\U0001f1e6-\U0001f1ff]"
# Flags of subdivisions such as England: a black flag, its name in tags, an end tag.
_TAGGED = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
_FLAG_OR_ANY = re.compile(f"{_REGIONAL}{{2}}|{_TAGGED}|.", re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """Text that stays together on a line; `spaced` if a space precedes it."""

    text: str
    spaced: bool


def clean(text: str, longest: int = LONGEST) -> str:
    """Return one line of visible text: NFC, without controls, overrides and excess marks."""
    text = text[:longest]
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    composed = unicodedata.normalize("NFC", "".join(map(_visible, _FLAG_OR_ANY.findall(text))))
    return " ".join(_fewer_marks(composed).split()).strip(_JOINERS)


def _visible(char: str) -> str:
    if len(char) > 1:
        return char  # a flag
    if char in "\t\n\r\u2028\u2029":
        return " "
    return char if char in _JOINERS or unicodedata.category(char) not in _UNSEEN else ""


def _fewer_marks(text: str) -> str:
    chars = []
    marks = _MARKS  # drop a mark without a preceding letter
    for char in text:
        if unicodedata.category(char) in _MARK:
            marks += 1
        elif char not in _JOINERS:
            marks = _MARKS if char == " " else 0
        if marks <= _MARKS or unicodedata.category(char) not in _MARK:
            chars.append(char)
    return "".join(chars)


def is_rtl(text: str) -> bool:
    """Return whether the first letter with a direction is right-to-left."""
    if text.isascii():
        return False
    for char in text:
        direction = unicodedata.bidirectional(char)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def pieces(text: str) -> list[Piece]:
    """Cut `text` at every position where a line may end."""
    return [
        Piece(part, spaced=not position and bool(number))
        for number, word in enumerate(text.split())
        for position, part in enumerate(_parts(word))
    ]


def _parts(word: str) -> list[str]:
    """Return the parts of a word between which a line may end."""
    if word.isascii():
        return _AFTER_DASH.split(word) if "-" in word or "/" in word else [word]
    if not _IDEOGRAPH.search(word):
        return [part for half in _AFTER_DASH.split(word) for part in _BEFORE_VOWEL.split(half)]
    if re.search(f"[{_KANA}]", word):
        return _JAPANESE_WORD.split(word)
    return _joined(clusters(word))


def _joined(characters: list[str]) -> list[str]:
    """Join Chinese characters that must not be separated: closing and opening marks."""
    parts = [characters[0]]
    for before, char in zip(characters, characters[1:], strict=False):
        latin = not _IDEOGRAPH.match(before) and not _IDEOGRAPH.match(char)
        if latin or char in _NOT_FIRST or before in _NOT_LAST:
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def broken(word: str) -> list[str]:
    """Return the smallest parts of a word that is too long for a line."""
    characters = clusters(word)
    return _joined(characters) if _IDEOGRAPH.search(word) else characters


def clusters(text: str) -> list[str]:
    """Split into user-perceived characters: a letter with marks, a flag, an emoji family."""
    return list(text) if text.isascii() else regex.findall(r"\X", text)
