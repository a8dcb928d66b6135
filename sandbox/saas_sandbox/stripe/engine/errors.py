"""Stripe's errors: type, code, parameter and message.

https://docs.stripe.com/api/errors
"""

from typing import Any

# Failed validation: nothing was executed, so nothing is stored under an idempotency key.
VALIDATION_CODES = frozenset(
    {
        "email_invalid",
        "parameter_invalid_empty",
        "parameter_invalid_integer",
        "parameter_invalid_string_empty",
        "parameter_missing",
        "parameter_unknown",
        "parameters_exclusive",
        "sandbox_unsupported",
        "url_invalid",
    }
)


class StripeError(Exception):
    """The error response of an API call.

    `recorded` means that the attempt itself must be kept, such as a declined charge: the unit of
    work is committed although the response is an error. Otherwise it is rolled back.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        recorded: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.recorded = recorded
        self.more = more

    @property
    def is_validation(self) -> bool:
        return self.code in VALIDATION_CODES

    def body(self) -> dict[str, Any]:
        optional = {"code": self.code, "message": self.message, "param": self.param}
        present = {name: value for name, value in optional.items() if value is not None}
        if self.code:
            present["doc_url"] = (
                f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
            )
        return {"error": {**present, **self.more, "type": self.type}}


def resource_missing(kind: str, id: str, param: str) -> StripeError:
    """Return the error for a missing object: 404 in a path, 400 in a parameter."""
    return StripeError(
        f"No such {DISPLAY_NAMES.get(kind, kind.rpartition('.')[2].replace('_', ' '))}: '{id}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )


def missing_param(param: str) -> StripeError:
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    return StripeError(message, param=param, code=code)


def unsupported_param(param: str) -> StripeError:
    """Return the error for an unsupported parameter. Ignoring it would mislead tests."""
    return StripeError(
        f"Stripe accepts the parameter {param}, but this sandbox does not support it.",
        code="sandbox_unsupported",
        param=param,
    )


def unauthorized(key: str | None) -> StripeError:
    if key is None:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    else:
        message = (
            f"Invalid API Key provided: {mask_key(key)}. "
            "(The sandbox accepts sk_test_ and at least 16 letters or digits.)"
        )
    return StripeError(message, status=401)


def unrecognized_url(method: str, path: str) -> StripeError:
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). "
        "If this is a valid URL of Stripe's API, this sandbox does not support it.",
        status=404,
    )


def mask_key(key: str) -> str:
    """Return a key masked as in Stripe's messages."""
    return key if len(key) < 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


DISPLAY_NAMES = {
    "billing_portal.configuration": "configuration",
    "payment_method": "PaymentMethod",
    "test_helpers.test_clock": "test clock",
}
