"""Forms of the settings page."""

from __future__ import annotations

from flask_login import current_user
from wtforms import EmailField, HiddenField, StringField
from wtforms.validators import AnyOf, DataRequired, ValidationError

from saas.auth import accounts, passkeys
from saas.auth.forms import AddressForm
from saas.presentation import email
from saas.security import Form


class NameForm(Form):
    """How one is called: 1 to 100 characters, counted after trimming."""

    name = StringField("Name")

    def validate_name(self, field: StringField) -> None:
        try:
            field.data = accounts.clean_name(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class EmailForm(AddressForm):
    """Another address to sign in with."""

    def validate_email(self, field: EmailField) -> None:
        super().validate_email(field)
        if field.data == current_user.email:
            raise ValidationError("This is your address already.")


class RoleForm(Form):
    """Stepping down: the only role that one can give oneself is the lower one."""

    role = HiddenField(
        validators=[AnyOf(["user"], message="Nobody can give themselves a higher role.")],
    )


class DeleteForm(Form):
    """Closing an account: the address typed out, so that no click does it by itself."""

    confirmation = StringField("Type your email address to confirm")

    def validate_confirmation(self, field: StringField) -> None:
        try:
            is_own = accounts.clean_address(field.data or "") == current_user.email
        except ValueError:
            is_own = False
        if not is_own:
            raise ValidationError(f"Type {email(current_user.email)} to confirm.")


class PasskeyForm(Form):
    """What a passkey is called, for its owner."""

    name = StringField("Name", validators=[DataRequired("Enter a name for the passkey.")])

    def validate_name(self, field: StringField) -> None:
        try:
            field.data = passkeys.clean_name(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from None
