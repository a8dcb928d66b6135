"""Webhook endpoints. https://docs.stripe.com/api/webhook_endpoints"""

import stripe
from stripe import params as shape

from saas_sandbox.stripe.api import pagination, urls
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine import ids, metadata
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.params import Params
from saas_sandbox.stripe.engine.resource import Resource
from saas_sandbox.stripe.engine.shapes import build_object

KIND = "webhook_endpoint"
URL = "/v1/webhook_endpoints"
MAX_ENDPOINTS = 16


@operation("POST", "/webhook_endpoints", shape.WebhookEndpointCreateParams)
def create(account: Account, params: Params) -> Resource:
    if len(account.select(KIND)) >= MAX_ENDPOINTS:
        raise invalid(f"You have reached the maximum of {MAX_ENDPOINTS} test webhook endpoints.")

    secret = f"whsec_{ids.token(32)}"
    endpoint = build_object(
        stripe.WebhookEndpoint,
        id=ids.new(KIND),
        created=account.now(),
        api_version=params.get("api_version"),
        description=params.get("description") or None,
        enabled_events=_parse_enabled_events(params),
        metadata=metadata.merge_values({}, params.get("metadata") or {}),
        status="enabled",
        url=urls.check_url(params["url"], "url"),
    )
    del endpoint["secret"]
    endpoint["_internal"] = {"secret": secret}
    account.add(endpoint)
    # The secret is only returned at creation.
    return {**endpoint, "secret": secret}


@operation("GET", "/webhook_endpoints/<id>", shape.WebhookEndpointRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get_undeleted(KIND, id)


@operation("POST", "/webhook_endpoints/<id>", shape.WebhookEndpointUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    endpoint = account.get_undeleted(KIND, id)
    if "url" in params:
        endpoint["url"] = urls.check_url(params["url"], "url")
    if "enabled_events" in params:
        endpoint["enabled_events"] = _parse_enabled_events(params)
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    params.copy_to(endpoint, "description")
    metadata.update_metadata(endpoint, params)
    return account.save(endpoint)


@operation("DELETE", "/webhook_endpoints/<id>", shape.WebhookEndpointDeleteParams)
def delete(account: Account, params: Params, id: str) -> Resource:
    endpoint = account.get_undeleted(KIND, id)
    account.store.execute(
        "UPDATE deliveries SET state = 'abandoned', next_at = NULL "
        "WHERE account = ? AND endpoint = ? AND state = 'pending'",
        account.id, id,
    )  # fmt: skip
    return account.delete(endpoint)


@operation("GET", "/webhook_endpoints", shape.WebhookEndpointListParams)
def list_all(account: Account, params: Params) -> Resource:
    return pagination.list_page(account, KIND, URL, params)


def _parse_enabled_events(params: Params) -> list[str]:
    event_types: list[str] = params["enabled_events"]
    if not event_types:
        raise invalid("You must select at least one event.", "enabled_events")
    return event_types
