"""Products. https://docs.stripe.com/api/products"""

from stripe import params as shape

from saas_sandbox.stripe.api import pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import catalog
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource, strip_internal


@operation("POST", "/products", shape.ProductCreateParams)
def create(account: Account, params: Params) -> Resource:
    return catalog.create_product(account, params)


@operation("GET", "/products/<id>", shape.ProductRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get_undeleted("product", id)


@operation("POST", "/products/<id>", shape.ProductUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    product = account.get_undeleted("product", id)
    catalog.apply_product_params(product, params)
    if price := params.get("default_price"):
        product["default_price"] = account.get("price", price, "default_price")["id"]
    product["updated"] = account.now()
    return account.save(product, "product.updated")


@operation("DELETE", "/products/<id>", shape.ProductDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    """ "Deleting a product is only possible if it has no prices associated with it." """
    product = account.get_undeleted("product", id)
    if account.select("price", "parent = ?", id):
        raise invalid(
            "This product cannot be deleted because it has one or more user-created prices.",
            param="id",
        )
    return account.delete(product, "product.deleted")


@operation("GET", "/products", shape.ProductListParams)
def list_all(account: Account, params: Params) -> Resource:
    if "ids" in params:
        products = [account.find("product", id) for id in params["ids"]]
        shown = [
            strip_internal(product)
            for product in products
            if product and not product.get("deleted")
        ]
        return pagination.build_list(shown, "/v1/products")

    active = {True: "active", False: "inactive", None: None}[params.get("active")]
    return pagination.list_page(account, "product", "/v1/products", params, status=active)
