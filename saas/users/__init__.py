"""The signed-in user: dashboard, settings, API and account deletion."""

from flask import Blueprint

bp = Blueprint("users", __name__)

from saas.users import (  # noqa: E402, F401 - they register on bp
    api,
    api_token_views,
    cli,
    emails,
    sign_in_methods,
    views,
)
