"""Create share cards in the dashboard. Requires the Pro plan, with a monthly quota."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from product.share_cards.forms import CardForm
from saas.auth.models import User
from saas.billing import access
from saas.billing.access import plan_required
from saas.og.links import card_url

bp = Blueprint("cards", __name__, template_folder="templates")

Answer = str | Response | tuple[str, int]


@bp.get("/dashboard/cards")
@plan_required("pro", "Share cards")
def cards() -> Answer:
    made = session.get("card")  # the last card, so that a reload shows it again
    return _page(CardForm(formdata=None, data=made), made)


@bp.post("/dashboard/cards")
@plan_required("pro", "Share cards")
def make_card() -> Answer:
    form = CardForm()
    if not form.validate_on_submit():
        return _page(form), 422

    access.use(current_user, "cards")
    session["card"] = {name: form[name].data for name in ("heading", "type", "mode")}
    return redirect(url_for("cards.cards"), code=303)


def tile(user: User) -> dict[str, object]:
    """Return the variables of the dashboard tile."""
    return {"usage": access.usage(user, "cards")}


def _page(form: CardForm, made: dict[str, str] | None = None) -> str:
    usage = access.usage(current_user, "cards")
    card = card_url(**made) if made else None
    return render_template("cards/cards.html", form=form, card=card, usage=usage)
