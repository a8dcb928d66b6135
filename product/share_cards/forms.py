"""The form that creates a share card."""

from __future__ import annotations

from wtforms import RadioField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # its types lag
from wtforms.validators import DataRequired, Length

from saas.security import Form


class CardForm(Form):
    """Heading, label and mode of a card."""

    heading = StringField(
        "Heading",
        validators=[
            DataRequired("Enter a heading."),
            Length(max=120, message="Enter at most 120 characters."),
        ],
    )
    type = StringField("Label", default="Blog", validators=[Length(max=24)])
    mode = RadioField(
        "Theme",
        choices=[SelectChoice("light", "Light"), SelectChoice("dark", "Dark")],
        default="light",
    )
