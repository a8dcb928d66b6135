"""Static files: the product's first, then the starter's, with a hash in their URLs.

WhiteNoise serves them before Flask does any work, compressed for clients that accept it (`make
compress`). In development, files are read at each request and not compressed.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs

from flask import Flask, Response, abort, current_app, send_from_directory
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.security import safe_join
from whitenoise import WhiteNoise
from whitenoise.responders import StaticFile

from saas import security

_PREFIX = "/static/"
_FOREVER = "public, max-age=31536000, immutable"


def init_app(app: Flask) -> None:
    """Serve the files of `STATIC_FOLDERS`, and give templates the function `static`."""
    app.add_template_global(static)
    app.extensions["static"] = {}
    app.add_url_rule(f"{_PREFIX}<path:filename>", "static", _not_found)  # for URLs
    app.wsgi_app = StaticFiles(app)  # type: ignore[method-assign]  # Flask's documented way


def _not_found(filename: str) -> NoReturn:  # noqa: ARG001 - of the rule
    abort(404)


def static(name: str, version: str | None = None) -> str:
    """Return the URL of a static file with its hash or `version`, so it can be cached forever.

    Each page needs about ten of them, so URLs are cached; `url_for` took a tenth of the time
    to render a page.
    """
    known: dict[str, str] = current_app.extensions["static"]
    if name not in known or current_app.config["TEMPLATES_AUTO_RELOAD"]:
        version = version or _hash(name)
        # Independent of the request, because it is cached for all users.
        root = current_app.url_map.bind("localhost")
        known[name] = root.build("static", {"filename": name, "v": version})
    return known[name]


def send(name: str) -> Response:
    """Return a static file from a view with another path than `/static/`."""
    path = path_of(current_app, name)
    return send_from_directory(path.parent, path.name, max_age=3600)


def path_of(app: Flask, name: str) -> Path:
    """Return the path of a static file: the product's if there is one, or the starter's."""
    folders: tuple[Path, ...] = app.config["STATIC_FOLDERS"]
    for folder in folders[:-1]:
        path = safe_join(str(folder), name)
        if path is not None and os.path.isfile(path):  # noqa: PTH113 - False for too long a name
            return Path(path)
    return folders[-1] / name


def _hash(name: str) -> str:
    path = path_of(current_app, name)
    if not path.is_file():
        raise FileNotFoundError(f"a template names the static file {name}, which is missing")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _is_stale(path: str) -> bool:
    """Return whether a file has changed since it was compressed, to both formats at once."""
    compressed = Path(f"{path}.gz")
    return (
        compressed.is_file() and gzip.decompress(compressed.read_bytes()) != Path(path).read_bytes()
    )


class StaticFiles(WhiteNoise):  # type: ignore[misc]  # it has no types
    """WhiteNoise with our security headers, and caching by the hash in the URL."""

    def __init__(self, app: Flask) -> None:
        super().__init__(
            app.wsgi_app,
            autorefresh=app.config["TEMPLATES_AUTO_RELOAD"],
            max_age=None,
            allow_all_origins=False,
            add_headers_function=self._add_headers,
        )
        self.flask = app
        self.security_headers = security.headers(app)
        for folder in reversed(app.config["STATIC_FOLDERS"]):  # later ones win
            if folder.is_dir():
                self.add_files(str(folder), prefix=_PREFIX)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve a file, and leave everything else to Flask: its errors and unknown hosts."""
        path = environ.get("PATH_INFO", "")
        file = self._find(path, environ) if path.startswith(_PREFIX) else None
        if file is None:
            response: Iterable[bytes] = self.application(environ, start_response)
            return response
        cache_control = self._cache_control(path, environ.get("QUERY_STRING", ""))

        def start(status: str, headers: list[tuple[str, str]]) -> Any:
            return start_response(status, [*headers, ("Cache-Control", cache_control)])

        return self.serve(file, environ, start)  # type: ignore[no-any-return]

    def _find(self, path: str, environ: dict[str, Any]) -> StaticFile | None:
        """Return the file to serve, if there is one for this path, method and host."""
        trusted = self.flask.config["TRUSTED_HOSTS"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or (
            trusted and not host_is_trusted(environ.get("HTTP_HOST", ""), trusted)
        ):
            return None
        return self.find_file(path) if self.autorefresh else self.files.get(path)

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> StaticFile:
        """Return a file, uncompressed in development or if its compressed variants are stale."""
        file = super().get_static_file(path, url, stat_cache)
        if self.autorefresh or _is_stale(path):
            file.alternatives = file.alternatives[-1:]
        return file

    def _add_headers(self, headers: Any, _path: str, url: str) -> None:
        """Add the security headers. Emails of other sites may show the logo."""
        for name, value in self.security_headers.items():
            headers[name] = value
        if url == f"{_PREFIX}icons/logo.png":
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    def _cache_control(self, path: str, query: str) -> str:
        """Cache files with their hash in the URL forever, and others for an hour.

        A file with the hash of another release is not cached: a cache would serve it in place of
        the right one. Fonts have their own version in the URL.
        """
        version = parse_qs(query).get("v")
        if version is None:
            return "public, max-age=3600"
        name = path.removeprefix(_PREFIX)
        is_current = name.startswith("fonts/") or self._is_current(name, version)
        return _FOREVER if is_current else "no-cache"

    def _is_current(self, name: str, version: list[str]) -> bool:
        with self.flask.app_context():
            return static(name).endswith(f"?v={version[0]}")
