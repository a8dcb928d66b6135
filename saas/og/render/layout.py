"""Fit text into a box: the largest size, the most even lines, an ellipsis if it is too long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from saas.og.render import glyphs, text
from saas.og.render.fonts import Library, Style
from saas.og.render.glyphs import Span
from saas.og.render.text import Piece

SIZES = (80, 76, 72, 68, 64, 60, 56, 52)
_LEADING = 1.12  # line height in px per px of font size
_TALL_LEADING = 1.3  # for scripts that stack marks above and below letters
_LEAN = 6  # px by which a line may exceed the sum of its words
_TALLER = 0x0590  # from this code point on (Hebrew, Arabic, Indic, East Asian), letters are taller


@dataclass(frozen=True)
class Box:
    """The width and height for a text in px, and its maximum number of lines."""

    width: int
    height: int
    lines: int


@dataclass(frozen=True)
class Setting:
    """Text that is set: lines in drawing order, font size and line height in px."""

    lines: tuple[tuple[Span, ...], ...]
    size: int
    leading: int

    @property
    def height(self) -> int:
        return self.leading * len(self.lines)


def fit(
    words: str, library: Library, style: Style, rtl: bool, box: Box, sizes: Sequence[int] = SIZES
) -> Setting:
    """Set `words` at the largest size that breaks no word; if none fits, break words, then cut."""
    setter = _Setter(library, style, rtl)
    measured = _enough(setter.measure(text.pieces(words)), 1.1 * box.lines * box.width / sizes[-1])
    tall = _LEADING if all(ord(char) < _TALLER for char in words) else _TALL_LEADING
    for size in sizes:
        leading = round(size * tall)
        most = min(box.lines, box.height // leading)
        lines = _whole(measured, box.width / size, most)
        set_lines = tuple(setter.spans(_joined(line)) for line in lines or ())
        if set_lines and all(glyphs.width(line) * size <= box.width + _LEAN for line in set_lines):
            return Setting(set_lines, size, leading)
    return setter.broken(measured, box.width / sizes[-1], max(most, 1), sizes[-1], leading)


Measured = tuple[Piece, float]  # the width in em


class _Setter:
    """Measures and sets text of one style and direction."""

    def __init__(self, library: Library, style: Style, rtl: bool) -> None:
        self.library, self.style, self.rtl = library, style, rtl

    def width(self, words: str) -> float:
        return glyphs.width(self.spans(words))

    def spans(self, words: str) -> tuple[Span, ...]:
        return glyphs.spans(words, self.library, self.style, self.rtl)

    def measure(self, pieces: Iterable[Piece]) -> Iterator[Measured]:
        plain = space = self.width(" ")
        for piece in pieces:
            yield piece, self.width(piece.text) + (space if piece.spaced else 0)
            last = piece.text[-1]  # a space uses the face of the previous letter
            space = plain if last.isascii() else self.width(f"{last} ") - self.width(last)

    def line(self, words: str, limit: float) -> tuple[Span, ...]:
        """Return a line of at most `limit` em; shaping may make it wider than its parts."""
        line = self.spans(words)
        while glyphs.width(line) > limit + 0.1 and len(words) > 1:
            words = "".join(text.clusters(words.rstrip(text.ELLIPSIS))[:-1]) + text.ELLIPSIS
            line = self.spans(words)
        return line

    def broken(
        self, measured: list[Measured], limit: float, most: int, size: int, leading: int
    ) -> Setting:
        """Return full lines; an ellipsis replaces text beyond `most` lines."""
        lines = [_joined(line) for line in _wrap(self._small(measured, limit), limit, most + 1)]
        if len(lines) > most:
            lines = lines[:most]
            lines[-1] = self._cut(lines[-1], limit)
        return Setting(tuple(self.line(line, limit) for line in lines), size, leading)

    def _small(self, measured: list[Measured], limit: float) -> Iterator[Measured]:
        for piece, width in measured:
            if width <= limit:
                yield piece, width
                continue
            parts = text.broken(piece.text)
            for number, (part, after) in enumerate(zip(parts, [*parts[1:], ""], strict=True)):
                kerned = self.width(part + after) - self.width(after)
                yield Piece(part, piece.spaced and not number), kerned

    def _cut(self, words: str, limit: float) -> str:
        parts = text.clusters(words)
        while len(parts) > 1 and self.width("".join(parts) + text.ELLIPSIS) > limit:
            parts.pop()
        return "".join(parts).rstrip(" ,.;:-–") + text.ELLIPSIS


def _enough(measured: Iterable[Measured], em: float) -> list[Measured]:
    """Return only as many pieces as could fill the box, because measuring takes time."""
    pieces = []
    for piece, width in measured:
        pieces.append((piece, width))
        em -= width
        if em < 0:
            break
    return pieces


def _whole(measured: list[Measured], limit: float, most: int) -> list[list[Measured]] | None:
    """Return at most `most` even lines of whole words, or None if more are needed."""
    if not most or max((width for _, width in measured), default=0) > limit:
        return None
    lines = list(_wrap(measured, limit, most + 1))
    if len(lines) > most:
        return None
    return _even(measured, lines, limit)


def _even(
    measured: list[Measured], lines: list[list[Measured]], limit: float
) -> list[list[Measured]]:
    """Return the same number of lines at the narrowest width, so no word is alone on the last."""
    low, high = limit / 2, limit
    for _ in range(5 if len(lines) > 1 else 0):
        middle = (low + high) / 2
        tried = list(_wrap(measured, middle, len(lines) + 1))
        if len(tried) > len(lines) or any(_width(line) > middle for line in tried):
            low = middle
        else:
            high, lines = middle, tried
    return lines


def _wrap(measured: Iterable[Measured], limit: float, most: int) -> Iterator[list[Measured]]:
    """Fill lines up to `limit` em, and stop after `most` of them."""
    line: list[Measured] = []
    room = limit
    for piece, width in measured:
        if line and width > room:
            yield line
            most -= 1
            if not most:
                return
            line, room = [], limit
        line.append((piece, width))
        room -= width
    if line:
        yield line


def _width(line: list[Measured]) -> float:
    return sum(width for _, width in line)


def _joined(line: list[Measured]) -> str:
    return "".join(" " * piece.spaced + piece.text for piece, _ in line).strip()
