"""Forms of the sign-in pages."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, StringField
from wtforms.validators import DataRequired, Length, Regexp, StopValidation, ValidationError

from saas.auth import accounts, normalization
from saas.security import Form


class EmailForm(Form):
    """An email, cleaned."""

    email = EmailField(
        "Email address",
        validators=[
            DataRequired("Enter your email address."),
            Length(max=254, message="Enter at most 254 characters."),
        ],
    )

    def validate_email(self, field: EmailField) -> None:
        """Replace the input with its canonical form."""
        typed = field.data or ""
        if "," in typed or ";" in typed or typed.count("@") > 1:
            raise StopValidation("Enter one email address only.")
        try:
            field.data = accounts.clean_email(typed)
        except ValueError:
            raise ValidationError(
                "Enter a valid email address, such as name@example.com."
            ) from None


class LoginForm(EmailForm):
    """An email, and the path to return to."""

    next = HiddenField()


class CodeForm(Form):
    """The six-digit code; digits of any script, spaces and dashes are accepted."""

    code = StringField(
        "Code from the email",
        filters=[lambda typed: normalization.clean_digits(typed or "")],
        validators=[Regexp(r"[0-9]{6}\Z", message="Enter the six digits from the email.")],
    )


class ConfirmForm(Form):
    """A form with only a button and a CSRF token."""


class ResendForm(Form):
    """A request for another email; with the `token` of an earlier one, to the same address."""

    token = HiddenField()


class SwitchForm(Form):
    """A sign-in; `switch` names the user who agreed to be signed out."""

    switch = HiddenField()
