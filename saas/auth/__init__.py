"""auth knows who you are: accounts, sign-in links, sessions."""

from flask import Blueprint

bp = Blueprint("auth", __name__)

from saas.auth import (  # noqa: E402, F401 - they register on bp
    address_views,
    letters,
    passkey_views,
    provider_views,
    views,
)
