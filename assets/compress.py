"""Write compressed variants of the static files, which WhiteNoise serves.

python assets/compress.py            writes a .gz and a .br beside each file that gains by it
python assets/compress.py --check    fails when a variant is missing or of another content
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import brotli
from whitenoise.compress import Compressor

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("saas/static", "product/static")
KINDS = {".css", ".js", ".svg"}
SMALLEST = 1000  # bytes; smaller files fit into one packet anyway
READ = {".gz": gzip.decompress, ".br": brotli.decompress}


def main() -> int:
    """Write or check the variants, and return the exit code."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    if sys.argv[1:] == ["--check"]:
        problems = [*stale(files)]
        print("\n".join(problems) or "The compressed files are current.")
        return int(bool(problems))
    for path in files:
        if path.suffix in READ:
            path.unlink()
    compressor = Compressor(quiet=True)
    for path in files:
        if is_worthwhile(path):
            compressor.compress(str(path))
    return 0


def is_worthwhile(path: Path) -> bool:
    """Return whether a file is text of some size."""
    return path.suffix in KINDS and path.stat().st_size >= SMALLEST


def stale(files: list[Path]) -> Iterator[str]:
    """Yield a sentence for each file whose variants are missing or not of its content."""
    for path in files:
        if path.suffix in READ and not path.with_suffix("").exists():
            yield f"{path.relative_to(ROOT)} has no original. Run: make compress"
        if not is_worthwhile(path):
            continue
        content = path.read_bytes()
        for suffix, read in READ.items():
            variant = Path(f"{path}{suffix}")
            if variant.exists() and read(variant.read_bytes()) != content:
                yield f"{variant.relative_to(ROOT)} is not current. Run: make compress"
            elif not variant.exists():
                yield f"{variant.relative_to(ROOT)} is missing. Run: make compress"


if __name__ == "__main__":
    sys.exit(main())
