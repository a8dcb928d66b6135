"""Stripe's errors: one envelope, a type, a code, the parameter at fault and a sentence.

https://docs.stripe.com/api/errors
"""

from typing import Any

# Parameters that fail validation: nothing was executed, so no idempotency key remembers it.
VALIDATION = frozenset(
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
    """What an API call is answered with when it cannot be done.

    `recorded` says that the attempt itself is history (a declined charge, say): the unit of work
    is kept although the answer is an error. Everything else is rolled back.
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
        return self.code in VALIDATION

    def body(self) -> dict[str, Any]:
        fields = {"code": self.code, "message": self.message, "param": self.param}
        given = {name: value for name, value in fields.items() if value is not None}
        if self.code:
            given["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        return {"error": {**given, **self.more, "type": self.type}}


def missing(kind: str, id: str, param: str) -> StripeError:
    """The object does not exist in this account: 404 for a path, 400 for a parameter."""
    return StripeError(
        f"No such {NAMES.get(kind, kind.rpartition('.')[2].replace('_', ' '))}: '{id}'",
        status=404 if param == "id" else 400,
        code="resource_missing",
        param=param,
    )


def missing_param(param: str) -> StripeError:
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    return StripeError(message, param=param, code=code)


def unplayed(param: str) -> StripeError:
    """Real at Stripe, absent here. To accept and ignore it would be a lie a test could believe."""
    return StripeError(
        f"Stripe knows the parameter {param}, but this sandbox does not play it.",
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
            f"Invalid API Key provided: {starred(key)}. "
            "(The sandbox takes sk_test_ and at least 16 letters or digits.)"
        )
    return StripeError(message, status=401)


def unrecognized_url(method: str, path: str) -> StripeError:
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). "
        "If this is a real address of Stripe's, this sandbox does not play it.",
        status=404,
    )


def starred(key: str) -> str:
    """Return a key as Stripe shows it in its messages."""
    return key if len(key) < 12 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


NAMES = {
    "billing_portal.configuration": "configuration",
    "payment_method": "PaymentMethod",
    "test_helpers.test_clock": "test clock",
}
