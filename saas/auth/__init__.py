"""Accounts, sign-in methods and sessions."""

from flask import Blueprint

bp = Blueprint("auth", __name__)

from saas.auth import emails, views  # noqa: E402, F401 - they register on import
