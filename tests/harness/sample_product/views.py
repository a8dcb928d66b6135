from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import DataRequired, Length

from saas import database
from saas.auth.models import User
from saas.billing import access
from saas.billing.access import plan_required
from saas.database import db
from saas.security import Form
from tests.harness.sample_product.models import Report

bp = Blueprint("reports", __name__)


class ReportForm(Form):
    title = StringField("Title", validators=[DataRequired("Enter a title."), Length(max=120)])


@bp.get("/dashboard/reports")
@plan_required("solo", "Reports")
def reports() -> str:
    return _page(ReportForm(formdata=None))


@bp.post("/dashboard/reports")
@plan_required("solo", "Reports")
def write_report() -> str | Response | tuple[str, int]:
    form = ReportForm()
    if not form.validate_on_submit():
        return _page(form), 422

    access.use(current_user, "reports")
    with database.write_transaction() as session:
        session.add(Report(user_id=current_user.id, title=form.title.data or ""))
    return redirect(url_for("reports.reports"), code=303)


def tile(user: User) -> dict[str, object]:
    return {"usage": access.usage(user, "reports")}


def _page(form: ReportForm) -> str:
    own = select(Report).where(Report.user_id == current_user.id).order_by(Report.written_at)
    return render_template(
        "reports/reports.html",
        form=form,
        reports=db.session.scalars(own).all(),
        usage=access.usage(current_user, "reports"),
    )
