"""Read the characters that a font file contains from its `cmap` table.

Pillow does not report this, and parsing fonts with a general library takes a hundred megabytes. The
table stores ranges, and nothing else is needed:
https://learn.microsoft.com/typography/opentype/spec/cmap
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Coverage:
    """Sorted ranges of code points: `starts[i]` to `ends[i]`, both inclusive."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def __contains__(self, char: str) -> bool:
        at = bisect_right(self.starts, ord(char)) - 1
        return at >= 0 and ord(char) <= self.ends[at]

    def __iter__(self) -> Iterator[str]:
        for first, last in zip(self.starts, self.ends, strict=True):
            yield from map(chr, range(first, last + 1))


NOTHING = Coverage((), ())


def read(path: Path) -> Coverage:
    """Return the coverage of the first font in a file; `NOTHING` if it cannot be parsed."""
    try:
        with path.open("rb") as file:
            ranges = sorted(_ranges(_table(file, b"cmap")))
    except (OSError, struct.error, LookupError):
        return NOTHING
    return Coverage(tuple(first for first, _ in ranges), tuple(last for _, last in ranges))


def _table(file: BinaryIO, name: bytes) -> bytes:
    """Return one table of a font, or of the first font of a collection."""
    if file.read(4) == b"ttcf":
        file.seek(12)
        file.seek(struct.unpack(">I", file.read(4))[0] + 4)
    count = struct.unpack(">H6x", file.read(8))[0]
    for tag, offset, length in struct.iter_unpack(">4s4xII", file.read(16 * count)):
        if tag == name:
            file.seek(offset)
            return file.read(length)
    raise LookupError(name)


def _ranges(cmap: bytes) -> list[tuple[int, int]]:
    """Return the ranges of the best Unicode subtable: format 12, else format 4."""
    count = struct.unpack_from(">2xH", cmap)[0]
    offsets = [struct.unpack_from(">4xI", cmap, 4 + 8 * number)[0] for number in range(count)]
    formats = {struct.unpack_from(">H", cmap, offset)[0]: offset for offset in offsets}
    if 12 in formats:
        return _groups(cmap, formats[12])
    return _segments(cmap, formats[4])


def _groups(cmap: bytes, offset: int) -> list[tuple[int, int]]:
    count = struct.unpack_from(">I", cmap, offset + 12)[0]
    body = cmap[offset + 16 : offset + 16 + 12 * count]
    return [(first, last) for first, last, _ in struct.iter_unpack(">III", body)]


def _segments(cmap: bytes, offset: int) -> list[tuple[int, int]]:
    size = struct.unpack_from(">H", cmap, offset + 6)[0]
    shape = f">{size // 2}H"
    ends = struct.unpack_from(shape, cmap, offset + 14)
    starts = struct.unpack_from(shape, cmap, offset + 16 + size)
    return [(first, last) for first, last in zip(starts, ends, strict=True) if first != 0xFFFF]
