"""Products. https://docs.stripe.com/api/products"""

import stripe
from stripe import params as shape

from .. import ids, metadata, pages
from ..account import Account
from ..errors import invalid
from ..operations import operation
from ..params import Params
from ..resource import Resource
from ..shapes import shaped
from .prices import build_price

COPIED = (
    "active", "name", "description", "images", "marketing_features", "package_dimensions",
    "shippable", "statement_descriptor", "tax_code", "unit_label", "url",
)  # fmt: skip


@operation("POST", "/products", shape.ProductCreateParams)
def create(account: Account, params: Params) -> Resource:
    product = shaped(
        stripe.Product,
        id=params.get("id") or ids.new("product"),
        created=account.now(),
        active=True,
        images=[],
        marketing_features=[],
        metadata={},
        name=params["name"],
        type=params.get("type", "service"),
        updated=account.now(),
    )
    if account.find("product", product["id"]):
        raise invalid("Product already exists.", param="id", code="resource_already_exists")

    _apply(product, params)
    account.add(product, "product.created")
    if "default_price_data" in params:
        _price(account, product, params["default_price_data"])
    return product


@operation("GET", "/products/<id>", shape.ProductRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.live("product", id)


@operation("POST", "/products/<id>", shape.ProductUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    product = account.live("product", id)
    _apply(product, params)
    if price := params.get("default_price"):
        product["default_price"] = account.get("price", price, "default_price")["id"]
    product["updated"] = account.now()
    return account.change(product, "product.updated")


@operation("DELETE", "/products/<id>", shape.ProductDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """ "Deleting a product is only possible if it has no prices associated with it." """
    product = account.live("product", id)
    if account.select("price", "parent = ?", id):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices.",
            param="id",
        )
    return account.bury(product, "product.deleted")


@operation("GET", "/products", shape.ProductListParams)
def list_all(account: Account, params: Params) -> Resource:
    if "ids" in params:
        found = [account.find("product", id) for id in params["ids"]]
        return pages.listed([product for product in found if product], "/v1/products")

    active = {True: "active", False: "inactive", None: None}[params.get("active")]
    return pages.page(account, "product", "/v1/products", params, status=active)


def _apply(product: Resource, params: Params) -> None:
    params.copy_to(product, *COPIED)
    for name in ("images", "marketing_features"):  # unset, they are empty rather than null
        product[name] = product[name] or []
    metadata.merge(product, params)


def _price(account: Account, product: Resource, given: Params) -> None:
    price = account.add(build_price(account, given, product["id"]), "price.created")
    product["default_price"] = price["id"]
    account.change(product, "product.updated")
