"""The pages of administrators: figures, users, events, emails and the audit log.

They call the same functions as the commands. Users who are not administrators get 404.
"""

from flask import Blueprint

bp = Blueprint("admin", __name__, url_prefix="/admin")

from saas.admin import (  # noqa: E402, F401 - they register on bp
    cli,
    guards,
    list_views,
    user_views,
    views,
)
