"""The currencies that Stripe supports, and checks of their combinations.

https://docs.stripe.com/currencies
"""

from collections.abc import Iterable

from saas_sandbox.stripe.engine.account import Account
from saas_sandbox.stripe.engine.errors import invalid
from saas_sandbox.stripe.engine.resource import Resource, get_internal

_NAMES = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd
bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp
gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf
krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn
nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr
sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv
wst xaf xcd xof xpf yer zar zmw
"""
CURRENCIES = tuple(_NAMES.split())


def check_same_currency(prices: Iterable[Resource], currency: str, param: str) -> None:
    """Refuse prices whose currency differs from their subscription or checkout page."""
    for price in prices:
        if price["currency"] != currency:
            raise invalid(
                "Currency and interval fields must match across all plans on this subscription. "
                f"Found mismatch in currency field: {currency} and {price['currency']}.",
                param,
            )


def check_customer_currency(account: Account, customer: Resource, currency: str) -> None:
    """Refuse a second currency while the customer has a subscription in another one."""
    running = account.select(
        "subscription",
        "customer = ? AND status NOT IN ('canceled', 'incomplete_expired')",
        customer["id"],
    )
    for subscription in running:
        if subscription["currency"] != currency:
            raise invalid(
                "You cannot combine currencies on a single customer. This customer has an active "
                "subscription, subscription schedule, discount, quote, or invoice item with "
                f"currency {subscription['currency']}",
                "currency",
            )


def check_coupon_currency(coupon: Resource, currency: str, param: str) -> None:
    """Refuse a coupon that has an `amount_off`, but none in this currency."""
    options = get_internal(coupon).get("currency_options") or {}
    if coupon["amount_off"] and currency not in (coupon["currency"], *options):
        raise invalid(
            f"The coupon {coupon['id']} cannot be applied: it is in {coupon['currency']}, and the "
            f"subscription is in {currency}.",
            param,
        )
