"""Portal sessions. https://docs.stripe.com/api/customer_portal/sessions"""

from typing import Any

import stripe
from stripe.params import billing_portal as shape

from saas_sandbox.stripe.api import urls
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.api.resources.subscription_items import find_recurring_price
from saas_sandbox.stripe.engine import ids, lifecycle
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "billing_portal.session"
CONFIGURATION = "billing_portal.configuration"
FLOWS = ("subscription_cancel", "subscription_update", "subscription_update_confirm")


@operation("POST", "/billing_portal/sessions", shape.SessionCreateParams)
def create(account: Account, params: Params) -> Resource:
    if "customer" not in params:
        raise missing_param("customer")
    customer = account.get_undeleted("customer", params["customer"], "customer")
    configuration = _find_configuration(account, params)
    id = ids.new(KIND)
    session = build_object(
        stripe.billing_portal.Session,
        id=id,
        created=account.now(),
        configuration=configuration["id"],
        customer=customer["id"],
        flow=_parse_flow(account, params["flow_data"], customer, configuration)
        if "flow_data" in params
        else None,
        locale=params.get("locale"),
        return_url=_parse_return_url(params) or configuration["default_return_url"],
        url=f"{account.base_url}/stripe/portal/{id}",
    )
    session.pop("after_expiration")
    return account.add(session, "billing_portal.session.created")


def _parse_return_url(params: Params) -> str | None:
    url = params.get("return_url")
    return urls.check_url(url, "return_url") if url else None


def _find_configuration(account: Account, params: Params) -> Resource:
    if configuration_id := params.get("configuration"):
        configuration = account.get(CONFIGURATION, configuration_id, "configuration")
        if not configuration["active"]:
            raise invalid("The portal configuration is not active.", "configuration")
        return configuration
    defaults = account.select(CONFIGURATION, "json_extract(body, '$.is_default')")
    return defaults[0]


def _parse_flow(
    account: Account, params: Params, customer: Resource, configuration: Resource
) -> dict[str, Any]:
    """Return a deep link to one flow. Only the parameters of its own type are allowed."""
    kind = params["type"]
    if kind not in (*FLOWS, "payment_method_update"):
        raise invalid(f"This sandbox does not support the flow {kind}.", "flow_data[type]")

    flow: dict[str, Any] = {"type": kind, **dict.fromkeys(FLOWS), "customer_update": None}
    flow["subscription_pause"] = None
    flow["after_completion"] = _parse_after_completion(params.section("after_completion"))
    if kind in FLOWS:
        if kind not in params:
            raise missing_param(f"flow_data[{kind}]")
        feature = kind.removesuffix("_confirm")
        if not configuration["features"][feature]["enabled"]:
            words = feature.replace("_", " ")
            raise invalid(
                f"This subscription cannot be updated because the {words} feature in the portal "
                "configuration is disabled.",
                "flow_data[type]",
            )
        flow[kind] = _parse_flow_section(account, kind, to_plain(params[kind]), customer)
    return flow


def _parse_after_completion(params: Params) -> dict[str, Any]:
    after: dict[str, Any] = {
        "type": "portal_homepage",
        "hosted_confirmation": None,
        "redirect": None,
    }
    return {"type": "portal_homepage", **after, **to_plain(params)}


def _parse_flow_section(
    account: Account, kind: str, section: dict[str, Any], customer: Resource
) -> dict[str, Any]:
    path = f"flow_data[{kind}]"
    subscription = account.get("subscription", section["subscription"], f"{path}[subscription]")
    if subscription["customer"] != customer["id"]:
        raise invalid("The subscription does not belong to this customer.", f"{path}[subscription]")
    if lifecycle.is_ended(subscription):
        raise invalid("The subscription is canceled.", f"{path}[subscription]")
    if kind == "subscription_cancel" and subscription["cancel_at"]:
        raise invalid("The subscription is already set to be canceled.", f"{path}[subscription]")
    if kind == "subscription_cancel":
        return {"retention": None, **section}
    if kind == "subscription_update":
        return section
    return {
        "discounts": None,
        **section,
        "items": _parse_items(account, section, subscription, path),
    }


def _parse_items(
    account: Account, section: dict[str, Any], subscription: Resource, path: str
) -> list[dict[str, Any]]:
    """ "Currently, only up to one may be specified and subscriptions with multiple items are not
    updatable."
    """
    items: list[dict[str, Any]] = section["items"]
    if len(items) != 1:
        raise invalid("Exactly one item can be changed.", f"{path}[items]")
    present = {item["id"]: item for item in subscription["items"]["data"]}
    if len(present) != 1:
        raise invalid("Subscriptions with multiple items cannot be updated.", f"{path}[items]")
    if items[0]["id"] not in present:
        raise invalid(
            f"No such subscription item: '{items[0]['id']}'", f"{path}[items]", "resource_missing"
        )
    if price := items[0].get("price"):
        find_recurring_price(account, price, f"{path}[items][0][price]")
    current = present[items[0]["id"]]
    change = {"price": current["price"]["id"], "quantity": 1, **items[0]}
    if (change["price"], change["quantity"]) == (current["price"]["id"], current["quantity"]):
        raise invalid("The update does not change the subscription.", f"{path}[items]")
    return [{"price": None, "quantity": 1, **item} for item in items]
