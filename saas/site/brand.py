"""The brand's colours as CSS custom properties; all products share one stylesheet."""

from __future__ import annotations

import hashlib

from flask import Response, current_app, request

from saas.declaration import Brand
from saas.site import bp


@bp.get("/brand.css")
def brand_css() -> Response:
    """Serve the brand's colours, cached forever with their hash in the URL, or else for an hour."""
    css = tokens(current_app.config["BRAND"])
    is_current = request.args.get("v") == _version(css)
    response = Response(css, mimetype="text/css")
    cache_control = "max-age=31536000, immutable" if is_current else "max-age=3600"
    response.headers["Cache-Control"] = f"public, {cache_control}"
    return response


@bp.app_template_global("brand_css")
def brand_css_url() -> str:
    """Return the URL of the brand's colours, with their hash."""
    url: str | None = current_app.extensions.get("brand_css")
    if url is None:
        version = _version(tokens(current_app.config["BRAND"]))
        root = current_app.url_map.bind(
            "localhost"
        )  # independent of the request, because it is cached
        url = current_app.extensions["brand_css"] = root.build("site.brand_css", {"v": version})
    return url


def tokens(brand: Brand) -> str:
    """Return the stylesheet that sets the brand's colours for light and dark mode."""
    start, end = brand.gradient
    light, dark = brand.light, brand.dark
    pairs = {
        "brand": (light.accent, dark.accent),
        "primary": (light.button[0], dark.button[0]),
        "primary-to": (light.button[1], dark.button[1]),
        "background": (light.background, dark.background),
        "foreground": (light.text, dark.text),
        "accent": (light.highlight, dark.highlight),
        "accent-foreground": (light.highlight_text, dark.highlight_text),
        "ring": (light.focus, dark.focus),
    }
    lines = [f"--{name}:light-dark({first},{second})" for name, (first, second) in pairs.items()]
    return ":root{" + ";".join([f"--brand-from:{start}", f"--brand-to:{end}", *lines]) + "}"


def _version(css: str) -> str:
    return hashlib.sha256(css.encode()).hexdigest()[:12]
