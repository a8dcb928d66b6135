"""auth knows who you are: accounts, sign-in links, sessions."""

from flask import Blueprint

bp = Blueprint("auth", __name__)

from saas.auth import letters, passkey_views, provider_views, views  # noqa: E402, F401 - on bp
