"""Draws the icons of a product from its `static/logo.svg` and `brand.toml`: `make brand`.

    python assets/brand.py [PACKAGE] [--check]

Pages, emails and cards read `brand.toml` when the application starts; only these files have to be
made. `logo.png` is the logo in emails and on share cards, which show no SVG. In the logo,
`var(--brand-from)` and `var(--brand-to)` stand for the colours of the gradient.
With `--check` nothing is written, and the exit code is 1 when the icon is not current.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import resvg_py
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from saas.declaration import Brand, ProductError, read_brand  # noqa: E402 - found by the line above

_FAVICON = (16, 32, 48)  # px
_TOUCH = 180  # px: https://developer.apple.com/design/human-interface-guidelines/app-icons
_LOGO = 180  # px: three times what emails and share cards show


def main(package: str = "product", *options: str) -> None:
    folder = ROOT / package.replace(".", "/")
    try:
        brand = read_brand(folder / "brand.toml")
    except ProductError as error:
        sys.exit(str(error))
    logo = folder / "static" / "logo.svg"
    if not logo.is_file():
        sys.exit(f"{logo.relative_to(ROOT)} is missing: the icons are drawn from it.")
    svg, icons = colored(logo.read_text("utf-8"), brand), folder / "static" / "icons"
    if "--check" not in options:
        write_icons(svg, icons, brand)
        print(f"The icons of {brand.name} are in {icons.relative_to(ROOT)}.")
    elif not are_current(svg, icons):
        sys.exit("The icons are older than the brand. Run: make brand")


def are_current(svg: str, icons: Path) -> bool:
    """Return whether the icons were drawn from this logo."""
    drawn_from = icons / "icon.svg"
    is_complete = (icons / "logo.png").is_file() and drawn_from.is_file()
    return is_complete and drawn_from.read_text("utf-8") == svg


def write_icons(svg: str, icons: Path, brand: Brand) -> None:
    icons.mkdir(exist_ok=True)
    (icons / "icon.svg").write_text(svg, "utf-8")
    largest = drawn(svg, max(_FAVICON))
    sizes = [(side, side) for side in _FAVICON]
    others = [drawn(svg, side) for side in _FAVICON]
    largest.save(icons / "favicon.ico", sizes=sizes, append_images=others, bitmap_format="png")
    touch = Image.new("RGB", (_TOUCH, _TOUCH), brand.light.background)  # it has no transparency
    picture = drawn(svg, _TOUCH)
    touch.paste(picture, mask=picture)
    touch.quantize(256).save(icons / "touch.png", optimize=True)
    drawn(svg, _LOGO).save(icons / "logo.png", optimize=True)


def colored(svg: str, brand: Brand) -> str:
    """Return the logo in the brand's colours: images in a page cannot read custom properties."""
    start, end = brand.gradient
    return svg.replace("var(--brand-from)", start).replace("var(--brand-to)", end)


def drawn(svg: str, side: int) -> Image.Image:
    """Return the logo as a square image with sides of `side` px."""
    return Image.open(BytesIO(resvg_py.svg_to_bytes(svg_string=svg, width=side, height=side)))


if __name__ == "__main__":
    main(*sys.argv[1:])
