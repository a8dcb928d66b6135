"""Forms of the settings page."""

from __future__ import annotations

from flask_login import current_user
from wtforms import EmailField, HiddenField, SelectField, SelectMultipleField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # its types lag
from wtforms.validators import AnyOf, DataRequired, Length, ValidationError
from wtforms.widgets import CheckboxInput

from saas import products
from saas.auth import accounts, api_tokens, passkeys
from saas.auth.forms import EmailForm
from saas.security import Form
from saas.template_filters import email


class NameForm(Form):
    """The user's name: 1 to 100 characters after trimming."""

    name = StringField("Name")

    def validate_name(self, field: StringField) -> None:
        try:
            field.data = accounts.clean_name(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class ChangeEmailForm(EmailForm):
    """A new email to sign in with."""

    def validate_email(self, field: EmailField) -> None:
        super().validate_email(field)
        if field.data == current_user.email:
            raise ValidationError("This is already your address.")


class RoleForm(Form):
    """Stepping down: users can only give up a role."""

    role = HiddenField(
        validators=[AnyOf(["user"], message="You can't give yourself a higher role.")],
    )


class DeleteForm(Form):
    """Account deletion: the user must type the email, to prevent accidental clicks."""

    confirmation = StringField("Type your email address to confirm")

    def validate_confirmation(self, field: StringField) -> None:
        try:
            is_own = accounts.clean_email(field.data or "") == current_user.email
        except ValueError:
            is_own = False
        if not is_own:
            raise ValidationError(f"Type {email(current_user.email)} to confirm.")


def _scopes() -> list[SelectChoice]:
    return [SelectChoice(scope.name, scope.description) for scope in products.scopes()]


class ApiTokenForm(Form):
    """Name, scopes and lifetime of a token."""

    name = StringField(
        "Name",
        validators=[
            DataRequired("Enter a name for the token."),
            Length(max=api_tokens.LONGEST_NAME, message="Enter at most 60 characters."),
        ],
        filters=[lambda typed: " ".join((typed or "").split())],
    )
    scopes = SelectMultipleField(
        "Scopes",
        choices=_scopes,
        option_widget=CheckboxInput(),
        validators=[DataRequired("Choose at least one scope.")],
    )
    expires = SelectField(
        "Expires",
        choices=[
            SelectChoice("30", "In 30 days"),
            SelectChoice("90", "In 90 days"),
            SelectChoice("365", "In a year"),
            SelectChoice("0", "Never"),
        ],
        default="90",
    )

    def validate_name(self, field: StringField) -> None:
        if not (field.data or "").isprintable():
            raise ValidationError("Use only visible characters.")


class PasskeyForm(Form):
    """The name of a passkey."""

    name = StringField("Name", validators=[DataRequired("Enter a name for the passkey.")])

    def validate_name(self, field: StringField) -> None:
        try:
            field.data = passkeys.clean_name(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from None
