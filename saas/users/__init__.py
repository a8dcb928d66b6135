"""users looks after both: the dashboard, settings, and closing an account."""

from flask import Blueprint

bp = Blueprint("users", __name__)

from saas.users import (  # noqa: E402, F401 - they register themselves on bp
    api,
    api_token_views,
    cli,
    emails,
    sign_in_methods,
    views,
)
