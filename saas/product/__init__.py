"""Your product begins here. This small feature shows how: a page behind a plan, with a quota.

It makes share cards, the pictures that a link shows in a chat. Replace it, keep the pattern:
`@plan_required` guards the view, `access.use` counts what the catalogue limits.
"""

from flask import Blueprint

bp = Blueprint("product", __name__)

from saas.product import views  # noqa: E402, F401 - it registers itself on bp
