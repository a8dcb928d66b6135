"""Font faces: the project's own, then any installed Noto fonts.

Pillow draws one font at a time without fallback, so text is cut into runs, each with the first face
that covers it. The three bundled faces cover Latin, Vietnamese, Greek and Cyrillic. Other scripts
need Debian's fonts-noto-core, fonts-noto-cjk and fonts-noto-color-emoji, or folders in OG_FONTS.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import groupby
from pathlib import Path
from typing import Literal

from PIL import ImageFont

from saas.og.render import coverage
from saas.og.render.coverage import Coverage
from saas.og.render.text import clusters

Style = Literal["heading", "text"]

OWN = Path(__file__).parents[1] / "fonts"
SYSTEM = (Path("/usr/share/fonts/truetype/noto"), Path("/usr/share/fonts/opentype/noto"))
EMOJI_SIZE = 109  # the only size of NotoColorEmoji's bitmaps
REFERENCE = 64  # px at which text is measured; other sizes are scaled

_OWN = {
    "heading": ("CalSans.ttf", "InterDisplay-Bold.otf", "Geist-Medium.ttf"),
    "text": ("Geist-Medium.ttf", "InterDisplay-Bold.otf", "CalSans.ttf"),
}
_GAPS = {"CalSans.ttf": 0.09}
_WEIGHT = {"heading": ("Bold", "SemiBold", "Black"), "text": ("Medium", "Regular")}
# The most common scripts come first, so that the others are rarely checked.
_FIRST = ("Arabic", "Hebrew", "Devanagari", "Bengali", "Thai", "CJK", "", "Symbols", "Symbols2")
_NOT_FOR_CARDS = re.compile("Italic|Condensed|Mono|UI|Display|Unjoined")
_INVISIBLE = "\u200c\u200d\ufe0e\ufe0f"
_EMOJI = re.compile("[\U0001f000-\U0001faff]|.*\ufe0f|[\u231a\u231b\u23e9-\u23f3\u25fd\u25fe"
    "\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce\u26d4"
    "\u26ea\u26f2-\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2757\u2795-\u2797"
    "\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55]", re.DOTALL)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Face:
    """One font of one file, created once: caches distinguish faces by identity.

    `plain`: whether its letters can be drawn one by one and cached. `gap` is added to each space,
    in em, because the words of a heading in Cal Sans run together.
    """

    path: Path
    index: int = 0
    plain: bool = False
    emoji: bool = False
    gap: float = 0

    def covers(self, text: str) -> bool:
        """Return whether it has every letter; selectors and joiners need none."""
        if self.plain and _letters(self.path).issuperset(text):
            return True
        known = _coverage(self.path)
        return all(char in known or char in _INVISIBLE for char in text)

    def at(self, size: int) -> ImageFont.FreeTypeFont:
        """Return Pillow's font of this face at `size` px."""
        return _load(self.path, self.index, size)


@lru_cache(maxsize=256)
def _coverage(path: Path) -> Coverage:
    return coverage.read(path)


@cache
def _letters(path: Path) -> frozenset[str]:
    """Return the coverage as a set, for the three small fonts that every heading uses."""
    return frozenset(_coverage(path))


@lru_cache(maxsize=96)
def _load(path: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=index)


@dataclass(frozen=True)
class Run:
    """Text with one face."""

    text: str
    face: Face


class Library:
    """The faces for headings and for text, in order of preference."""

    def __init__(self, folders: Sequence[Path] = SYSTEM) -> None:
        files = [file for folder in folders for file in _font_files(folder)]
        self._others = [file for file in files if "Emoji" not in file.name]
        self._emoji = [Face(file, emoji=True) for file in files if "NotoColorEmoji" in file.name]
        self._found = lru_cache(maxsize=4096)(self._find)  # the same letters recur

    @classmethod
    def from_setting(cls, folders: str) -> Library:
        """Create a library: the folders of OG_FONTS (separated as in PATH), then the system's."""
        return cls((*(Path(part) for part in folders.split(os.pathsep) if part), *SYSTEM))

    @property
    def names(self) -> list[str]:
        """The font files in use, to distinguish sets of fonts."""
        return [file.name for file in (*self._others, *(face.path for face in self._emoji))]

    def sift(self, text: str, style: Style) -> tuple[str, str]:
        """Return `text` without characters that no font has, and those characters."""
        if self._faces[style][0].covers(text):
            return text, ""
        parts = [(part, bool(self._choose(part, style, text))) for part in clusters(text)]
        drawable = "".join(part for part, is_drawable in parts if is_drawable)
        return " ".join(drawable.split()), "".join(
            part for part, is_drawable in parts if not is_drawable
        )

    def runs(self, text: str, style: Style) -> list[Run]:
        """Split `text` (as returned by `sift`) where the face changes, in reading order."""
        face = self._faces[style][0]
        if face.covers(text):
            return [Run(text, face)]
        chosen = []
        for cluster in clusters(text):
            # A space or comma keeps the previous word's face if possible.
            if face.emoji or not (_is_neutral(cluster) and face.covers(cluster)):
                face = self._choose(cluster, style, text) or face
            chosen.append((cluster, face))
        return [
            Run("".join(cluster for cluster, _ in group), face)
            for face, group in groupby(chosen, key=lambda pair: pair[1])
        ]

    def _choose(self, cluster: str, style: Style, text: str) -> Face | None:
        face = self._found(cluster, style)
        return _for_language(face, text) if face and face.path.suffix == ".ttc" else face

    def _find(self, cluster: str, style: Style) -> Face | None:
        """Return the first face that covers a cluster, checking all installed fonts."""
        faces = self._faces[style]
        if _EMOJI.match(cluster):
            faces = (*self._emoji, *faces)
        return next((face for face in faces if face.covers(cluster)), None)

    @cached_property
    def _faces(self) -> dict[Style, tuple[Face, ...]]:
        return {style: (*_own(style), *self._installed(style)) for style in ("heading", "text")}

    def _installed(self, style: Style) -> Iterator[Face]:
        families = groupby(sorted(self._others, key=_precedence), key=_precedence)
        for _, files in families:
            yield Face(min(files, key=lambda file: _distance(file, style)))


def _own(style: Style) -> Iterator[Face]:
    return map(_plain, _OWN[style])


@cache
def _plain(name: str) -> Face:
    return Face(OWN / name, plain=True, gap=_GAPS.get(name, 0))


def _font_files(folder: Path) -> list[Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    fonts = (file for file in files if file.suffix in (".ttf", ".otf", ".ttc"))
    return sorted(file for file in fonts if not _NOT_FOR_CARDS.search(file.name))


def _precedence(file: Path) -> tuple[bool, bool, int, str]:
    """Return the sort key of a family: fonts other than Noto, then sans, then serif."""
    family = file.stem.split("-")[0].split("[")[0]
    script = re.sub("^Noto(Sans|Serif|Naskh|Kufi)", "", family)
    place = _FIRST.index(script) if script in _FIRST else len(_FIRST)
    return family.startswith("Noto"), not family.startswith("NotoSans"), place, family


def _distance(file: Path, style: Style) -> int:
    """Return the distance of a file's weight from the style's."""
    weight = file.stem.partition("-")[2]
    return _WEIGHT[style].index(weight) if weight in _WEIGHT[style] else len(_WEIGHT[style])


def _is_neutral(cluster: str) -> bool:
    return cluster == " " or not cluster[0].isalnum() and cluster.isascii()


def _for_language(face: Face, text: str) -> Face:
    """Prefer the variant of Noto's CJK fonts for Japanese, Korean or Chinese."""
    if re.search("[\u3041-\u30ff]", text):
        return _of_collection(face.path, 0)
    return _of_collection(face.path, 1 if re.search("[\uac00-\ud7af]", text) else 2)


@cache
def _of_collection(path: Path, index: int) -> Face:
    return Face(path, index)
