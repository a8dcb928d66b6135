"""Metadata: merged on update, unset by an empty value. https://docs.stripe.com/api/metadata"""

from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource


def update_metadata(resource: Resource, params: Params) -> None:
    """ "Individual keys can be unset by posting an empty value to them. All keys can be unset by
    posting an empty value to metadata."
    """
    if "metadata" in params:
        resource["metadata"] = merge_values(resource.get("metadata") or {}, params["metadata"])


def merge_values(old: dict[str, str], new: dict[str, str] | str) -> dict[str, str]:
    if not isinstance(new, dict):
        return {}

    values = {name: value for name, value in {**old, **new}.items() if value != ""}
    check_limits(values, "metadata")
    return values


def check_limits(values: dict[str, str], where: str) -> None:
    """Check the limits: 50 keys of 40 characters, with values of 500."""
    if len(values) > 50:
        raise invalid("Metadata can have at most 50 keys.", param=where)
    for name, value in values.items():
        if len(name) > 40:
            raise invalid(
                f"Metadata key names can be up to 40 characters long: '{name[:60]}'",
                param=where,
            )
        if len(value) > 500:
            raise invalid(
                f"Metadata values can have up to 500 characters, but you passed in a value that "
                f"is {len(value)} characters. Invalid value: {value[:60]}…",
                param=f"{where}[{name}]",
            )
