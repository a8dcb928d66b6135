"""users looks after both: the dashboard, settings, and closing an account."""

from flask import Blueprint

bp = Blueprint("users", __name__)

from saas.users import api, cli, letters, views, ways_in  # noqa: E402, F401 - they register
