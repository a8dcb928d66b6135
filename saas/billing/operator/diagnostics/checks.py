"""Checks of the setup in Stripe, each with a fix.

They only read, except that one opens a checkout page and expires it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import func, select

from saas import products, security
from saas.billing import gateway
from saas.billing.customers import Subscriber
from saas.billing.gateway import Price
from saas.billing.operator import provisioning
from saas.billing.operator.diagnostics import webhooks
from saas.billing.operator.diagnostics.findings import SETUP, Finding, Findings
from saas.charges import Purchase
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES
from saas.template_filters import exact_amount

_SOON = timedelta(hours=1)  # long enough for several attempts of the periodic task
_CLOCK_TOLERANCE = 60  # seconds; signatures are refused beyond 300


def examine() -> Findings:
    """Yield findings, check by check. If Stripe is unreachable, yield only that."""
    key = _key()
    yield key
    if key.is_problem and key.check == "key":
        return
    for name, check in _CHECKS.items():
        try:
            yield from list(check()) or [Finding(name, "No problems found.")]
        except gateway.AuthenticationFailed as error:
            yield Finding(
                name,
                f"STRIPE_API_KEY lacks a permission ({error}).",
                "Give the restricted key this permission, or use a secret key.",
            )
        except gateway.Unavailable as error:
            yield _unreachable(name, error)
        except gateway.StripeError as error:
            fix = "Fix the problem that Stripe reports: https://dashboard.stripe.com"
            yield Finding(name, f"{gateway.describe(error)}.", fix)


def _unreachable(name: str, error: gateway.Unavailable) -> Finding:
    if isinstance(error, gateway.Unreadable):
        fix = "Update this application: it uses another version of Stripe's API."
        return Finding(name, f"{error}.", fix)
    return Finding(name, f"Stripe did not answer: {error}.", "Try again in a minute.")


def _key() -> Finding:
    if not current_app.config["STRIPE_API_KEY"]:
        fix = "flask seed" if current_app.config["STRIPE_IS_SANDBOX"] else "Set STRIPE_API_KEY."
        return Finding("key", "STRIPE_API_KEY is not set.", fix)
    api_url = current_app.config["STRIPE_API_BASE"]
    try:
        ahead = gateway.seconds_ahead()
    except gateway.AuthenticationFailed as error:
        fix = "Copy the key again: https://dashboard.stripe.com/apikeys"
        return Finding("key", f"Stripe refuses STRIPE_API_KEY ({error}).", fix)
    except gateway.Unavailable as error:
        fix = f"Check the connection from this machine: curl -I {api_url}"
        return Finding("key", f"Stripe cannot be reached at {api_url} ({error}).", fix)
    except gateway.StripeError as error:
        fix = "Fix the problem that Stripe reports: https://dashboard.stripe.com"
        return Finding("key", f"{gateway.describe(error)}.", fix)
    if abs(ahead) > _CLOCK_TOLERANCE:
        return _clock_difference(ahead)
    mode = "live" if gateway.is_live() else "test"
    return Finding("key", f"Stripe answers at {api_url}, in {mode} mode; the clocks agree.")


def _clock_difference(ahead: float) -> Finding:
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        f"This machine's clock is {abs(ahead):.0f} s {direction} Stripe's: "
        "beyond 300 s, every webhook is refused.",
        "timedatectl set-ntp true",
    )


def _account() -> Findings:
    production, live = current_app.config["SAAS_ENV"] == "production", gateway.is_live()
    if production and not live:
        yield Finding(
            "account",
            "Production uses a test key, so no real payments are possible.",
            "Set STRIPE_API_KEY=sk_live_…",
        )
    if live and not production:
        yield Finding(
            "account",
            "A live key is used outside of production, so tests cost real money.",
            "Set STRIPE_API_KEY=sk_test_…",
        )
    if not gateway.can_charge():
        yield Finding(
            "account",
            "This Stripe account cannot take payments yet.",
            "Complete the onboarding: https://dashboard.stripe.com/account/onboarding",
        )


def _prices() -> Findings:
    configured = current_app.config["STRIPE_PRICES"]
    for key, name in products.catalogue().price_variables.items():
        if not configured.get(key):
            yield Finding("prices", f"{name} is missing, so its plan cannot be bought.", SETUP)
        for number, price_id in enumerate(configured.get(key, ())):
            finding = _price(name, price_id)
            if isinstance(finding, Finding):
                yield finding
            elif number == 0 and (odd := _odd(key, finding)):
                yield Finding("prices", f"{name}: {price_id} {odd}", SETUP)
    yield from _unknown_prices()
    yield from _unknown_purchases()


def _price(name: str, price_id: str) -> Price | Finding:
    try:
        return gateway.price(price_id)
    except gateway.NotFound as error:
        if "live mode" in str(error) or "test mode" in str(error):
            other, ours = ("test", "live") if gateway.is_live() else ("live", "test")
            message = f"{name}: {price_id} is a {other}-mode price, but the key is a {ours} key."
        else:
            message = f"{name}: the Stripe account has no price {price_id}."
        return Finding("prices", message, SETUP)


def _odd(key: tuple[str, str], price: Price) -> str | None:
    """Describe the fault of the price on sale, if any. Older prices may differ."""
    units, interval = provisioning.terms(key)
    if not price.is_active:
        return "is archived in Stripe and cannot be bought."
    if price.interval != interval:
        return f"is not charged {'once' if interval == 'once' else f'every {interval}'}."
    if (price.cents, price.currency) != (units, products.catalogue().currency):
        return (
            f"costs {exact_amount(price.cents, price.currency)}, but the pricing page shows "
            f"{exact_amount(units, products.catalogue().currency)}."
        )
    return None


def _unknown_prices() -> Findings:
    """Yield prices of paying users that are not configured, so that they get no plan."""
    known = [price for ids in current_app.config["STRIPE_PRICES"].values() for price in ids]
    paid = (
        select(Subscriber.stripe_price_id, func.count())
        .where(Subscriber.stripe_subscription_status.in_(LIVE_STATUSES))
        .where(Subscriber.stripe_price_id.is_not(None), Subscriber.stripe_price_id.not_in(known))
        .group_by(Subscriber.stripe_price_id)
    )
    for price_id, users in db.session.execute(paid).all():
        yield Finding(
            "prices",
            f"{users} subscribed to {price_id}, which is not configured: they get the free plan.",
            "Add it to the variable of its plan, after a comma: STRIPE_…_PRICE_ID=…,"
            + str(price_id),
        )


def _unknown_purchases() -> Findings:
    """Yield prices of one-time plans that users bought and that are not configured now."""
    rows = db.session.scalars(
        select(Subscriber.stripe_purchases)
        .where(Subscriber.stripe_purchases.is_not(None))
        .execution_options(yield_per=1000)
    )
    counted: Counter[str] = Counter()
    for stored in rows:
        valid = [
            purchase for purchase in map(Purchase.from_json, stored or ()) if purchase.is_valid
        ]
        prices = {purchase.price for purchase in valid}
        counted.update(price for price in prices if products.sold_as(price) is None)
    for price_id, users in sorted(counted.items()):
        yield Finding(
            "prices",
            f"{users} bought {price_id}, which is not configured: they get nothing for it.",
            "Add it to the variable of its plan, after a comma: STRIPE_…_ONCE_PRICE_ID=…,"
            + price_id,
        )


def _portal() -> Findings:
    portal_id = current_app.config["STRIPE_PORTAL_CONFIGURATION_ID"]
    portals = gateway.portals()
    used = next((portal for portal in portals if portal.id == portal_id), None)
    if not portal_id:
        used = next((portal for portal in portals if portal.is_default), None)
    if used is None or not used.is_active:
        message = f"{portal_id} is missing or inactive" if portal_id else "it has no configuration"
        yield Finding("portal", f"The customer portal cannot be opened: {message}.", SETUP)
        return
    prices = current_app.config["STRIPE_PRICES"].items()
    sold = {ids[0] for (_, interval), ids in prices if interval != "once"}
    if sold and not used.switches:
        yield Finding("portal", f"The portal {used.id} does not allow plan changes.", SETUP)
    elif lacking := sold - used.prices:
        message = f"The portal {used.id} does not offer {', '.join(sorted(lacking))}."
        yield Finding("portal", message, SETUP)
    elif sold and used.proration != (expected := products.catalogue().proration):
        message = f"The portal {used.id} charges upgrades by {used.proration!r}, not {expected!r}."
        yield Finding("portal", message, SETUP)


def _tax() -> Findings:
    if not current_app.config["STRIPE_AUTOMATIC_TAX"]:
        return
    missing = gateway.missing_for_tax()
    if missing is not None:
        lacks = f" Missing: {', '.join(missing)}." if missing else ""
        yield Finding(
            "tax",
            f"STRIPE_AUTOMATIC_TAX is on, but Stripe Tax is not active: checkouts fail.{lacks}",
            "Fill in https://dashboard.stripe.com/settings/tax, or set STRIPE_AUTOMATIC_TAX=false",
        )


def _merchant_of_record() -> Findings:
    """Check the tax codes, without which Stripe does not sell as the merchant of record.

    The checkout page shows whether the terms are accepted.
    """
    if not current_app.config["STRIPE_MANAGED_PAYMENTS"]:
        return
    for key, ids in current_app.config["STRIPE_PRICES"].items():
        name = products.catalogue().price_variables[key]
        price = _price(name, ids[0])
        if isinstance(price, Finding):
            continue  # reported by `prices`
        sold = gateway.product(price.product_id)
        if not sold.tax_code:
            yield Finding(
                "merchant",
                f"The product {sold.name} ({sold.id}) has no tax code, which Stripe requires to be "
                "the merchant of record.",
                f"Choose one that is eligible: https://dashboard.stripe.com/products/{sold.id}",
            )


def _checkout() -> Findings:
    """Check that Stripe opens a checkout page, and that browsers may follow our form to it."""
    prices = current_app.config["STRIPE_PRICES"].items()
    sold = [(ids[0], interval == "once") for (_, interval), ids in prices if ids]
    if not sold or _lacks_tax():
        return  # other checks report these
    price, is_one_time = sold[0]
    try:
        url = gateway.try_checkout(
            price, security.public_url("billing.overview"), is_one_time=is_one_time
        )
    except (gateway.InvalidRequest, gateway.NotFound) as error:
        message = f"Stripe refuses to open a checkout page: {str(error).rstrip('.')}."
        yield Finding(
            "checkout",
            message,
            "Fix the problem that Stripe reports; no plan can be bought until then.",
        )
        return
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin not in security.stripe_pages(current_app):
        message = (
            f"Stripe's pages are at {origin}, which our content security policy does not allow."
        )
        others = ",".join(dict.fromkeys((*current_app.config["STRIPE_PAGES"], origin)))
        yield Finding("checkout", message, f"Set STRIPE_PAGES={others}")


def _lacks_tax() -> bool:
    is_wanted = current_app.config["STRIPE_AUTOMATIC_TAX"]
    return is_wanted and gateway.missing_for_tax() is not None


def _emails() -> Findings:
    """Check for changed emails that Stripe did not accept: receipts go to the old ones."""
    stale = Subscriber.stripe_email_stale_since < now() - _SOON
    users = db.session.scalar(select(func.count()).select_from(Subscriber).where(stale))
    if users:
        yield Finding(
            "emails",
            f"{users} changed email addresses were not updated in Stripe: "
            "receipts go to the old ones.",
            "Stripe's reason is in the worker's log, in lines with: email of user",
        )


_CHECKS: dict[str, Callable[[], Findings]] = {
    "account": _account,
    "prices": _prices,
    "webhook": webhooks.examine,
    "portal": _portal,
    "tax": _tax,
    "merchant": _merchant_of_record,
    "checkout": _checkout,
    "emails": _emails,
}
