"""Share cards: the preview images of links in chats and social networks.

Pillow is loaded when the first card is drawn, not when the application starts.
"""

from flask import Blueprint

bp = Blueprint("og", __name__)

from saas.og import cli, links, views  # noqa: E402, F401 - they register on bp
