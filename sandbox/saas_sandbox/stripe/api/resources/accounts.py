"""The account and its tax settings."""

from typing import Any

from stripe import params as shape
from stripe.params import tax

from saas_sandbox.stripe.api.operations import operation
from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.params import Params, to_plain
from saas_sandbox.stripe.engine.resource import Resource

NO_REQUIREMENTS: dict[str, Any] = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": [],
    "disabled_reason": None,
    "errors": [],
    "eventually_due": [],
    "past_due": [],
    "pending_verification": [],
}


@operation("GET", "/account", shape.AccountRetrieveCurrentParams)
def retrieve_current(account: Account, params: Params) -> Resource:
    return {
        "id": account.id,
        "object": "account",
        "business_profile": dict.fromkeys(
            (
                "annual_revenue", "estimated_worker_count", "mcc",
                "minority_owned_business_designation", "name", "product_description",
                "specified_commercial_transactions_act_url",
                "support_address", "support_email", "support_phone", "support_url", "url",
            )
        ),
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": account.created,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "external_accounts": _external_accounts(account),
        "future_requirements": dict(NO_REQUIREMENTS),
        "metadata": {},
        "payouts_enabled": True,
        "requirements": dict(NO_REQUIREMENTS),
        "settings": _build_settings(),
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
    }  # fmt: skip


@operation("GET", "/tax/settings", tax.SettingsRetrieveParams)
def retrieve_tax(account: Account, params: Params) -> Resource:
    return _build_tax_settings(account)


@operation("POST", "/tax/settings", tax.SettingsUpdateParams)
def update_tax(account: Account, params: Params) -> Resource:
    stored = account.settings["tax_settings"]
    for name in ("defaults", "head_office"):
        if name in params:
            stored[name] = {**(stored.get(name) or {}), **to_plain(params[name])}
    account.save_settings()
    return _build_tax_settings(account)


def _build_tax_settings(account: Account) -> Resource:
    """Return the tax settings: "active" requires a head office, as in Stripe."""
    stored = account.settings["tax_settings"]
    address = (stored.get("head_office") or {}).get("address")
    missing_fields = None if address else ["head_office"]
    return {
        "object": "tax.settings",
        "defaults": {"provider": "stripe", "tax_behavior": None, "tax_code": None}
        | (stored.get("defaults") or {}),
        "head_office": {"address": _complete_address(address)} if address else None,
        "livemode": False,
        "status": "pending" if missing_fields else "active",
        "status_details": {"pending": {"missing_fields": missing_fields}}
        if missing_fields
        else {"active": {}},
    }


def _complete_address(address: dict[str, str]) -> dict[str, str | None]:
    names = ("city", "country", "line1", "line2", "postal_code", "state")
    return {name: address.get(name) or None for name in names}


def _external_accounts(account: Account) -> Resource:
    url = f"/v1/accounts/{account.id}/external_accounts"
    return {"object": "list", "data": [], "has_more": False, "url": url}


def _build_settings() -> dict[str, Any]:
    descriptors = (
        "statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji",
    )  # fmt: skip
    prefixes = (
        "statement_descriptor_prefix", "statement_descriptor_prefix_kana",
        "statement_descriptor_prefix_kanji",
    )  # fmt: skip
    return {
        "bacs_debit_payments": {"display_name": None, "service_user_number": None},
        "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
        "card_issuing": {"tos_acceptance": {"date": None, "ip": None}},
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": False},
            **dict.fromkeys(prefixes),
        },
        "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": None},
        "payments": dict.fromkeys((*descriptors, *prefixes[1:])),
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
        "sepa_debit_payments": {},
    }
