"""Public pages: landing, pricing, legal pages, health."""

from flask import Blueprint

bp = Blueprint("site", __name__)

from saas.site import brand, health, views  # noqa: E402, F401 - they register on bp
