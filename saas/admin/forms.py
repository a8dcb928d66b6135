"""Forms of the admin pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from wtforms import DateField, HiddenField, SelectField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # its types lag
from wtforms.validators import Optional, ValidationError

from saas import products
from saas.auth import audit
from saas.security import Form


class ActionForm(Form):
    """An action on a user that needs no reason."""


class ReasonForm(ActionForm):
    """An action that takes something away, or is recorded with its reason."""

    reason = StringField("Reason")

    def validate_reason(self, field: StringField) -> None:
        try:
            field.data = audit.clean_reason(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class GrantForm(ReasonForm):
    """A plan, and the last day on which the user has it."""

    plan = SelectField("Plan", choices=lambda: _plans())
    until = DateField(
        "Last day (UTC)", format="%Y-%m-%d", validators=[Optional()], render_kw={"type": "date"}
    )

    def validate_until(self, field: DateField) -> None:
        if field.data and field.data < datetime.now(UTC).date():
            raise ValidationError(
                "Choose a day that has not passed. Without a day, the grant never ends."
            )

    @property
    def ends_at(self) -> datetime | None:
        last: date | None = self.until.data
        return datetime.combine(last, time(23, 59, 59), UTC) if last else None


class ReplayForm(Form):
    """One event by its id, or all that failed."""

    event = HiddenField()


def _plans() -> list[SelectChoice]:
    plans = products.catalogue().plans
    return [SelectChoice(plan.id, plan.name) for plan in plans if not plan.is_free]
