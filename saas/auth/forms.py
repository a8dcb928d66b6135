"""Forms clean and explain; they never save."""

from __future__ import annotations

from wtforms import EmailField, HiddenField, StringField
from wtforms.validators import DataRequired, Length, Regexp, StopValidation, ValidationError

from saas.auth import accounts, normalization
from saas.security import Form


class EmailForm(Form):
    """One address, cleaned."""

    email = EmailField(
        "Email address",
        validators=[
            DataRequired("Enter your email address."),
            Length(max=254, message="An email address has at most 254 characters."),
        ],
    )

    def validate_email(self, field: EmailField) -> None:
        """Replace what was typed by the one form of it that we use."""
        typed = field.data or ""
        if "," in typed or ";" in typed or typed.count("@") > 1:
            raise StopValidation("Enter one email address only.")
        try:
            field.data = accounts.clean_email(typed)
        except ValueError:
            raise ValidationError(
                "This is not an email address that can receive mail. "
                "It looks like name@example.com."
            ) from None


class LoginForm(EmailForm):
    """One address, and where to go afterwards."""

    next = HiddenField()


class CodeForm(Form):
    """The six digits of the mail, in any script, with whatever was pasted along."""

    code = StringField(
        "Code from the email",
        filters=[lambda typed: normalization.clean_digits(typed or "")],
        validators=[Regexp(r"[0-9]{6}\Z", message="Enter the six digits from the email.")],
    )


class ConfirmForm(Form):
    """A button and its CSRF token, nothing else."""


class ResendForm(Form):
    """Another mail; with the token of one that was mailed, to the same address."""

    token = HiddenField()


class SwitchForm(Form):
    """Sign in here; `switch` names who is signed out by it, so that nobody is by accident."""

    switch = HiddenField()
