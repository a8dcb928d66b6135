"""Forms clean and explain; they never save."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField
from wtforms.validators import DataRequired, Length, StopValidation, ValidationError

from saas.auth import accounts


class LoginForm(FlaskForm):
    """One address, and where to go afterwards."""

    email = EmailField(
        "Email address",
        validators=[
            DataRequired("Enter your email address."),
            Length(max=254, message="An email address has at most 254 characters."),
        ],
    )
    next = HiddenField()

    def validate_email(self, field: EmailField) -> None:
        """Replace what was typed by the one form of it that we use."""
        typed = field.data or ""
        if "," in typed or ";" in typed or typed.count("@") > 1:
            raise StopValidation("Enter one email address only.")
        try:
            field.data = accounts.clean_address(typed)
        except ValueError:
            raise ValidationError(
                "This is not an email address that can receive mail. "
                "It looks like name@example.com."
            ) from None


class ConfirmForm(FlaskForm):
    """A button and its CSRF token, nothing else."""
