"""Products. https://docs.stripe.com/api/products"""

from stripe import params as shape

from .. import catalog, pages
from ..account import Account
from ..errors import invalid
from ..operations import operation
from ..params import Params
from ..resource import Resource


@operation("POST", "/products", shape.ProductCreateParams)
def create(account: Account, params: Params) -> Resource:
    return catalog.create_product(account, params)


@operation("GET", "/products/<id>", shape.ProductRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.live("product", id)


@operation("POST", "/products/<id>", shape.ProductUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    product = account.live("product", id)
    catalog.apply(product, params)
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
