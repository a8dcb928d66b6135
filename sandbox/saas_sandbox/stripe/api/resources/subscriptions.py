"""Subscriptions. https://docs.stripe.com/api/subscriptions"""

from typing import Any

from stripe import params as shape

from saas_sandbox.stripe.api import expand, pagination
from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.api.resources import subscription_items
from saas_sandbox.stripe.engine import (
    billing_cycle,
    discounts,
    lifecycle,
    metadata,
    payment_methods,
    pending_updates,
    subscription_creation,
    subscription_updates,
    taxes,
)
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid, missing_param, resource_missing
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource, strip_internal

DAY = 86400
FIVE_YEARS = 5 * 366 * DAY
PERIOD_ENDS = ("min_period_end", "max_period_end")


@operation("POST", "/subscriptions", shape.SubscriptionCreateParams)
def create(account: Account, params: Params) -> Resource:
    if "customer" not in params:
        raise missing_param("customer")
    customer = account.get_undeleted("customer", params["customer"], "customer")
    now = account.now(customer["test_clock"])
    subscription = billing_cycle.build_subscription(
        account,
        customer,
        subscription_items.parse_new_items(account, params.get("items") or []),
        trial_end=parse_trial_end(params, now),
        anchor=_parse_anchor(params, now),
    )
    _apply_settings(account, subscription, customer, params)
    subscription["discounts"] = discounts.create_from_params(
        account, params, customer, subscription
    )
    subscription_creation.create_by_api(
        account,
        subscription,
        customer,
        _parse_payment_behavior(params),
        prorate=params.get("proration_behavior") != "none",
    )
    params.get("off_session")
    return subscription


@operation("GET", "/subscriptions/<id>", shape.SubscriptionRetrieveParams)
def retrieve(account: Account, params: Params, id: str) -> Resource:
    return account.get("subscription", id)


@operation("GET", "/subscriptions", shape.SubscriptionListParams)
def list_all(account: Account, params: Params) -> Resource:
    """ "If no value is supplied, all subscriptions that have not been canceled are returned." """
    conditions = {
        None: "status != 'canceled'",
        "all": "1",
        "ended": "status IN ('canceled', 'incomplete_expired')",
    }
    status = params.get("status")
    where = [conditions.get(status, "status = ?")]
    values = [] if status in conditions else [status]
    if "collection_method" in params:
        where.append("json_extract(body, '$.collection_method') = ?")
        values.append(params["collection_method"])
    columns = {"customer": params.get("customer"), "price": params.get("price")}
    columns["clock"] = _get_clock_filter(params)
    return pagination.list_page(
        account,
        "subscription",
        "/v1/subscriptions",
        params,
        condition=(" AND ".join(where), values),
        **columns,
    )


def _get_clock_filter(params: Params) -> str | None:
    """ "The response will not include subscriptions with test clocks if this and the customer
    parameter is not set."
    """
    clock: str | None = params.get("test_clock", None if "customer" in params else "")
    return clock


@operation("POST", "/subscriptions/<id>", shape.SubscriptionUpdateParams)
def update(account: Account, params: Params, id: str) -> Resource:
    subscription = account.get("subscription", id)
    customer = account.get("customer", subscription["customer"])
    if lifecycle.is_ended(subscription):
        return _update_ended(account, subscription, params)

    _apply_settings(account, subscription, customer, params)
    _set_trial(account, subscription, params)
    if "discounts" in params:
        subscription["discounts"] = discounts.create_from_params(
            account, params, customer, subscription
        )
    _set_cancellation(account, subscription, params)
    if _changes_price(params):
        return _change_items(account, subscription, params)
    return lifecycle.save_subscription(account, subscription)


@operation("DELETE", "/subscriptions/<id>", shape.SubscriptionCancelParams)
def cancel(account: Account, params: Params, id: str) -> Resource:
    subscription = account.get("subscription", id)
    if lifecycle.is_ended(subscription):
        raise resource_missing("subscription", id, "id")

    details = params.section("cancellation_details")
    details.copy_to(subscription["cancellation_details"], "comment", "feedback")
    if params.get("prorate", False) and subscription["status"] in ("active", "past_due"):
        subscription_updates.credit_unused_time(account, subscription)
    if params.get("invoice_now", False):
        subscription_updates.invoice_now(account, subscription, [], "allow_incomplete")
    return lifecycle.cancel_subscription(account, subscription)


@operation("POST", "/subscriptions/<id>/resume", shape.SubscriptionResumeParams)
def resume(account: Account, params: Params, id: str) -> Resource:
    """Resume a paused subscription: charge it immediately, by default with a new billing date."""
    subscription = account.get("subscription", id)
    if subscription["status"] != "paused":
        raise invalid("This subscription cannot be resumed as it is not paused.", "id")

    if params.get("billing_cycle_anchor", "now") == "now":
        billing_cycle.reset_billing_cycle(subscription, account.now(subscription["test_clock"]))
    params.get("proration_behavior")
    items = subscription["items"]["data"]
    outcome = subscription_updates.invoice_now(account, subscription, items, "allow_incomplete")
    if outcome is None and subscription["status"] == "paused":
        lifecycle.change_status(account, subscription, "active")
    lifecycle.save_subscription(account, subscription)
    if subscription["status"] == "active":
        account.emit("customer.subscription.resumed", subscription)
    return subscription


@operation("DELETE", "/subscriptions/<id>/discount", shape.SubscriptionDeleteDiscountParams)
def delete_discount(account: Account, params: Params, id: str) -> Resource:
    subscription = account.get("subscription", id)
    if not subscription["discounts"]:
        raise invalid("This subscription does not have a discount.", "id")
    discount = account.get("discount", subscription["discounts"].pop())
    lifecycle.save_subscription(account, subscription)
    account.save(discount, "customer.discount.deleted")
    return {**discount, "deleted": True}


def parse_trial_end(params: Params, now: int) -> int | None:
    """Return the end of the requested trial, or None if it would end now."""
    days, end = params.get("trial_period_days"), params.get("trial_end")
    if days is not None and end is not None:
        raise invalid(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            "trial_end",
        )
    if days is not None:
        if not 0 <= days <= 730:
            raise invalid("Invalid trial_period_days: at most 730 days.", "trial_period_days")
        return now + days * DAY if days else None
    if end in (None, "now"):
        return None
    return _check_future(end, now, "trial_end")


def _parse_payment_behavior(params: Params) -> str:
    behaviour: str = params.get("payment_behavior", "allow_incomplete")
    if behaviour == "pending_if_incomplete":
        raise invalid(
            "You can only use `payment_behavior=pending_if_incomplete` to update a subscription.",
            "payment_behavior",
        )
    return behaviour


def _parse_anchor(params: Params, now: int) -> int | None:
    anchor = params.get("billing_cycle_anchor")
    return _check_future(anchor, now, "billing_cycle_anchor") if anchor else None


def _check_future(moment: int, now: int, param: str) -> int:
    if moment <= now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param)
    if moment > now + FIVE_YEARS:
        raise invalid("Invalid timestamp: can be no more than five years in the future.", param)
    return moment


def _apply_collection(account: Account, subscription: Resource, params: Params) -> None:
    if "automatic_tax" in params:
        enabled = params["automatic_tax"]["enabled"]
        taxes.check_head_office(account, enabled)
        subscription["automatic_tax"] = taxes.subscription_fields(enabled)
    if "pause_collection" in params:
        pause = to_plain(params["pause_collection"])
        subscription["pause_collection"] = {"resumes_at": None, **pause} if pause else None


def _apply_settings(
    account: Account, subscription: Resource, customer: Resource, params: Params
) -> None:
    """Set fields that need no further action."""
    params.copy_to(subscription, "description", "collection_method", "days_until_due")
    _check_days_until_due(subscription, params)
    metadata.update_metadata(subscription, params)
    if method_id := params.get("default_payment_method"):
        param = "default_payment_method"
        method = payment_methods.get_owned_method(account, method_id, customer, param)
        subscription[param] = method["id"]
    if "payment_settings" in params:
        params["payment_settings"].copy_to(
            subscription["payment_settings"], "save_default_payment_method", "payment_method_types"
        )
    if "trial_settings" in params:
        subscription["trial_settings"] = billing_cycle.build_trial_settings(
            to_plain(params["trial_settings"])
        )
    _apply_collection(account, subscription, params)
    if "billing_mode" in params and params["billing_mode"]["type"] != "flexible":
        raise invalid("This sandbox only supports the flexible billing mode.", "billing_mode[type]")
    details = params.section("cancellation_details")
    details.copy_to(subscription["cancellation_details"], "comment", "feedback")


def _check_days_until_due(subscription: Resource, params: Params) -> None:
    """ "Number of days a customer has to pay invoices": only where an invoice is sent."""
    by_invoice = subscription["collection_method"] == "send_invoice"
    if params.get("days_until_due") and not by_invoice:
        raise invalid(
            "`days_until_due` can only be set if `collection_method` is `send_invoice`.",
            "days_until_due",
        )
    if by_invoice and not subscription["days_until_due"]:
        raise invalid(
            "If `collection_method` is set to `send_invoice`, you must specify `days_until_due`.",
            "days_until_due",
        )


def _set_cancellation(account: Account, subscription: Resource, params: Params) -> None:
    """Set or clear cancel_at_period_end and cancel_at."""
    for name in ("cancel_at_period_end", "cancel_at"):
        if name in params and subscription["schedule"]:
            raise invalid(
                "The subscription is managed by the subscription schedule "
                f"`{subscription['schedule']}`, and updating any cancelation behavior directly is "
                "not allowed. Please update the schedule instead.",
                name,
            )
    now = account.now(subscription["test_clock"])
    ends = [item["current_period_end"] for item in subscription["items"]["data"]]
    if "cancel_at_period_end" in params and "cancel_at" in params:
        raise invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        )
    if params.get("cancel_at_period_end"):
        lifecycle.schedule_cancel(account, subscription, max(ends), period_end=True)
    elif params.get("cancel_at"):
        cancel_at = params["cancel_at"]
        at = {"min_period_end": min(ends), "max_period_end": max(ends)}.get(cancel_at, cancel_at)
        if not isinstance(at, int):
            raise invalid(f"This sandbox does not support cancel_at={at}.", "cancel_at")
        lifecycle.schedule_cancel(
            account, subscription, _check_future(at, now, "cancel_at"), period_end=False
        )
    elif "cancel_at_period_end" in params or "cancel_at" in params:
        lifecycle.unschedule_cancel(subscription)


def _set_trial(account: Account, subscription: Resource, params: Params) -> None:
    if "trial_end" not in params:
        return
    now = account.now(subscription["test_clock"])
    if params["trial_end"] == "now":
        if subscription["status"] == "trialing":
            subscription_updates.end_trial_now(account, subscription, now)
        return
    subscription_updates.extend_trial(
        subscription, _check_future(params["trial_end"], now, "trial_end"), account
    )


def _changes_price(params: Params) -> bool:
    return "items" in params or params.get("billing_cycle_anchor") == "now"


def _change_items(account: Account, subscription: Resource, params: Params) -> Resource:
    changes = [
        subscription_items.parse_item_change(account, item, f"items[{number}]")
        for number, item in enumerate(params.get("items") or [])
    ]
    options = {
        "proration": params.get("proration_behavior", "create_prorations"),
        "date": params.get("proration_date"),
        "reset_anchor": params.get("billing_cycle_anchor") == "now",
    }
    behaviour = params.get("payment_behavior", "allow_incomplete")
    if behaviour == "pending_if_incomplete":
        return pending_updates.apply_or_hold(account, subscription, changes, **options)
    return subscription_updates.change_items(
        account, subscription, changes, **options, behaviour=behaviour
    )


def _update_ended(account: Account, subscription: Resource, params: Params) -> Resource:
    """ "After it's canceled, the subscription is largely immutable. You can still update its
    metadata and cancellation_details."
    """
    if set(params) - {"metadata", "cancellation_details", "expand"}:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata."
        )
    metadata.update_metadata(subscription, params)
    details = params.section("cancellation_details")
    details.copy_to(subscription["cancellation_details"], "comment", "feedback")
    return lifecycle.save_subscription(account, subscription)


def _list_for_customer(account: Account, customer: Resource) -> Any:
    subscriptions = account.select(
        "subscription", "customer = ? AND status != 'canceled'", customer["id"]
    )
    visible = [strip_internal(subscription) for subscription in subscriptions[::-1]]
    return pagination.build_list(visible, f"/v1/customers/{customer['id']}/subscriptions")


expand.INCLUDABLE_FIELDS["customer", "subscriptions"] = _list_for_customer
