"""Portal configurations. https://docs.stripe.com/api/customer_portal/configurations"""

from typing import Any

from stripe.params import billing_portal as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import metadata, portal_settings
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource

URL = "/v1/billing_portal/configurations"


@operation("POST", "/billing_portal/configurations", shape.ConfigurationCreateParams)
def create(account: Account, params: Params) -> Resource:
    configuration = portal_settings.build_configuration(account)
    _apply_params(account, configuration, params)
    return account.add(configuration, "billing_portal.configuration.created")


@operation("GET", "/billing_portal/configurations/<id>", shape.ConfigurationRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get(portal_settings.KIND, id)


@operation("POST", "/billing_portal/configurations/<id>", shape.ConfigurationUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    configuration = account.get(portal_settings.KIND, id)
    _apply_params(account, configuration, params)
    params.copy_to(configuration, "active")
    configuration["updated"] = account.now()
    return account.save(configuration, "billing_portal.configuration.updated")


@operation("GET", "/billing_portal/configurations", shape.ConfigurationListParams)
def list_all(account: Account, params: Params) -> Resource:
    status = {True: "active", False: "inactive", None: None}[params.get("active")]
    where, values = "1", []
    if "is_default" in params:
        where, values = "json_extract(body, '$.is_default') = ?", [params["is_default"]]
    return pagination.list_page(
        account, portal_settings.KIND, URL, params, condition=(where, values), status=status
    )


def _apply_params(account: Account, configuration: Resource, params: Params) -> None:
    params.copy_to(configuration, "default_return_url", "name")
    params.section("business_profile").copy_to(
        configuration["business_profile"], "headline", "privacy_policy_url", "terms_of_service_url"
    )
    params.section("login_page").copy_to(configuration["login_page"], "enabled")
    metadata.update_metadata(configuration, params)
    features = params.section("features")
    for name in features:
        feature = to_plain(features[name])
        _check_products(account, name, feature)
        if "products" in feature:
            configuration.setdefault("_internal", {})["products"] = feature.pop("products") or []
        configuration["features"][name] = _merge_feature(configuration["features"][name], feature)


def _merge_feature(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge values: given ones replace old ones, empty ones unset, nested hashes are merged."""
    merged = dict(old)
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            merged[name] = _merge_feature(old[name], value)
        else:
            merged[name] = [] if value == "" else value
    return merged


def _check_products(account: Account, name: str, feature: dict[str, Any]) -> None:
    """ "The list of up to 10 products that support subscription updates." """
    path = f"features[{name}][products]"
    products = feature.get("products") or []
    if len(products) > 10:
        raise invalid("You can offer up to 10 products.", path)
    for number, offer in enumerate(products):
        account.get_undeleted("product", offer["product"], f"{path}[{number}][product]")
        offer.setdefault("adjustable_quantity", {"enabled": False, "maximum": None, "minimum": 1})
        for price in offer["prices"]:
            _check_price(account, price, offer["product"], f"{path}[{number}][prices]")
        _check_intervals(account, offer, f"{path}[{number}][prices]")


def _check_price(account: Account, id: str, product: str, path: str) -> None:
    price = account.get("price", id, path)
    if price["product"] != product or not price["recurring"]:
        raise invalid(f"The price {id} is not a recurring price of the product {product}.", path)


def _check_intervals(account: Account, offer: dict[str, Any], path: str) -> None:
    """Refuse two prices with the same interval: the portal shows one per interval."""
    recurring = [account.get("price", price)["recurring"] for price in offer["prices"]]
    intervals = [(entry["interval"], entry["interval_count"]) for entry in recurring]
    if len(set(intervals)) < len(intervals):
        raise invalid(
            f"The prices of the product {offer['product']} must have unique billing intervals.",
            path,
        )


def _list_products(account: Account, configuration: Resource) -> list[dict[str, Any]]:
    """Return the plans that customers may change to; sent only when expanded."""
    stored = account.get(portal_settings.KIND, configuration["id"])
    return portal_settings.list_offered_products(stored)


expand.INCLUDABLE_FIELDS[portal_settings.KIND, "features.subscription_update.products"] = (
    _list_products
)
