"""users looks after both: the dashboard, settings, and closing an account."""

from flask import Blueprint

bp = Blueprint("users", __name__)

from saas.users import (  # noqa: E402, F401 - they register on bp
    api,
    cli,
    letters,
    token_views,
    views,
    ways_in,
)
