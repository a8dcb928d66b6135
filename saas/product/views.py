"""Share cards, made in the dashboard: a feature of the Pro plan, a hundred a month."""

from __future__ import annotations

from flask import render_template
from flask_login import current_user
from werkzeug.wrappers import Response

from saas.billing import access
from saas.billing.access import QuotaExhausted, plan_required
from saas.og.links import card_url
from saas.product import bp
from saas.product.forms import CardForm

Answer = str | Response | tuple[str, int]


@bp.get("/dashboard/cards")
@plan_required("pro", "Share cards")
def cards() -> Answer:
    return _page(CardForm())


@bp.post("/dashboard/cards")
@plan_required("pro", "Share cards")
def make_card() -> Answer:
    form = CardForm()
    if not form.validate_on_submit():
        return _page(form), 422

    try:
        access.use(current_user, "cards")
    except QuotaExhausted:
        return _page(form), 403
    card = card_url(form.heading.data or "", type=form.type.data or "", mode=form.mode.data)
    return _page(form, card=card)


def _page(form: CardForm, card: str | None = None) -> str:
    usage = access.usage(current_user, "cards")
    return render_template("product/cards.html", form=form, card=card, usage=usage)
