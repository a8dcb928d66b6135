"""Every way in which a Stripe set-up goes wrong, each with what mends it. Reads only.

What cannot be known is not claimed. Stripe never tells a webhook secret, so whether ours is the
right one shows only in deliveries: an event of Stripe's that the ledger has not; and in whether the
running application accepts what is signed with the secret of this command's configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import func, select

from saas import plans
from saas.auth.models import User
from saas.billing import catching_up, gateway, knocking, setup, webhooks
from saas.billing.gateway import Endpoint, Price
from saas.billing.models import StripeEvent
from saas.config import PRICE_VARIABLES
from saas.database import db, now
from saas.subscriber import LIVE_STATUSES

_CLOCK_TOLERANCE = 60  # seconds; a signature is refused beyond 300
_ON_ITS_WAY = timedelta(minutes=2)  # a delivery may take that long
_LOOK_BACK = timedelta(days=3)  # so long Stripe tries to deliver
_SETUP = "flask billing setup"
_CATCH_UP = "flask billing catch-up"


@dataclass(frozen=True)
class Finding:
    """What a check found. `mend` is what to do about a problem; empty where all is well."""

    check: str
    said: str
    mend: str = ""

    @property
    def is_problem(self) -> bool:
        return bool(self.mend)


Findings = Iterator[Finding]


def examine() -> Findings:
    """Check by check. Where Stripe does not answer at all, that is the only finding."""
    key = _key()
    yield key
    if key.is_problem and key.check == "key":
        return
    for name, check in _CHECKS.items():
        try:
            yield from list(check()) or [Finding(name, "In order.")]
        except gateway.KeyRefused as error:
            yield Finding(
                name,
                f"STRIPE_API_KEY may not look at this ({error}).",
                "Give the restricted key the permission that is named, or use a secret key.",
            )
        except gateway.Unavailable as error:
            yield Finding(name, f"Stripe did not answer: {error}.", "Try again in a minute.")


def _key() -> Finding:
    if not current_app.config["STRIPE_API_KEY"]:
        mend = "flask seed" if current_app.config["STRIPE_IS_SANDBOX"] else "Set STRIPE_API_KEY."
        return Finding("key", "STRIPE_API_KEY is not set.", mend)
    address = current_app.config["STRIPE_API_BASE"]
    try:
        ahead = gateway.seconds_ahead()
    except gateway.KeyRefused as error:
        mend = "Copy the key again: https://dashboard.stripe.com/apikeys"
        return Finding("key", f"Stripe refuses STRIPE_API_KEY ({error}).", mend)
    except gateway.Unavailable as error:
        mend = f"See whether this machine reaches {address}: curl -I {address}"
        return Finding("key", f"Stripe cannot be reached at {address} ({error}).", mend)
    if abs(ahead) > _CLOCK_TOLERANCE:
        return _wrong_clock(ahead)
    mode = "live" if gateway.is_live() else "test"
    return Finding("key", f"Stripe answers at {address}, in {mode} mode; the clocks agree.")


def _wrong_clock(ahead: float) -> Finding:
    direction = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        f"This machine's clock is {abs(ahead):.0f} s {direction} Stripe's: "
        "beyond 300 s every webhook is refused.",
        "timedatectl set-ntp true",
    )


def _account() -> Findings:
    production, live = current_app.config["SAAS_ENV"] == "production", gateway.is_live()
    if production and not live:
        yield Finding(
            "account", "Production uses a test key: nobody can pay.", "Set STRIPE_API_KEY=sk_live_…"
        )
    if live and not production:
        yield Finding(
            "account",
            "A live key outside of production: what is tried here costs money.",
            "Set STRIPE_API_KEY=sk_test_…",
        )
    if not gateway.can_charge():
        yield Finding(
            "account",
            "Stripe does not let this account take payments yet.",
            "Answer what Stripe asks: https://dashboard.stripe.com/account/onboarding",
        )


def _prices() -> Findings:
    configured = current_app.config["STRIPE_PRICES"]
    for key, name in PRICE_VARIABLES.items():
        if not configured.get(key):
            yield Finding("prices", f"{name} is missing: nobody can buy it.", _SETUP)
        for number, price_id in enumerate(configured.get(key, ())):
            found = _price(name, price_id)
            if isinstance(found, Finding):
                yield found
            elif number == 0 and (odd := _odd(key, found)):
                yield Finding("prices", f"{name}: {price_id} {odd}", _SETUP)
    yield from _unknown_prices()


def _price(name: str, price_id: str) -> Price | Finding:
    try:
        return gateway.price(price_id)
    except gateway.Gone as error:
        if "live mode" in str(error) or "test mode" in str(error):
            other, ours = ("test", "live") if gateway.is_live() else ("live", "test")
            said = f"{name}: {price_id} is a price of {other} mode, and the key is a {ours} key."
        else:
            said = f"{name}: this account of Stripe's has no price {price_id}."
        return Finding("prices", said, _SETUP)


def _odd(key: tuple[str, str], price: Price) -> str | None:
    """What is wrong with the price that is sold; an older one may cost what it did."""
    cents, interval = plans.BY_ID[key[0]].price(key[1]), setup.STRIPE_INTERVAL[key[1]]
    if not price.is_active:
        return "is archived at Stripe: nobody can buy it."
    if price.interval != interval:
        return f"is not paid each {interval}."
    if (price.cents, price.currency) != (cents, gateway.CURRENCY):
        return (
            f"costs {price.cents / 100:.2f} {price.currency}, and the pricing page says "
            f"{cents / 100:.2f} {gateway.CURRENCY}."
        )
    return None


def _unknown_prices() -> Findings:
    """People who pay and get nothing for it: no variable holds their price."""
    known = [price for ids in current_app.config["STRIPE_PRICES"].values() for price in ids]
    paid = (
        select(User.stripe_price_id, func.count())
        .where(User.stripe_subscription_status.in_(LIVE_STATUSES))
        .where(User.stripe_price_id.is_not(None), User.stripe_price_id.not_in(known))
        .group_by(User.stripe_price_id)
    )
    for price_id, people in db.session.execute(paid).all():
        yield Finding(
            "prices",
            f"{people} subscribed to {price_id}, which no variable holds: they get the free plan.",
            "Add it behind the present price of its plan, after a comma: STRIPE_…_PRICE_ID=…,"
            + str(price_id),
        )


def _endpoint() -> Findings:
    if setup.is_out_of_reach():
        yield from _listener()
        return
    found = setup.our_endpoints()
    if not found:
        yield _no_endpoint()
        return
    if len(found) > 1:
        yield Finding(
            "webhook", f"{len(found)} endpoints deliver to {found[0].url}: one is enough.", _SETUP
        )
    for each in found:
        yield from _faults_of(each)
    yield from _deliveries(max(each.created for each in found))


def _listener() -> Findings:
    if not current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        yield Finding(
            "webhook",
            f"Stripe cannot deliver to {setup.webhook_url()}.",
            f"stripe listen --forward-to {setup.webhook_url()}, and put the secret that it "
            "prints into STRIPE_WEBHOOK_SECRET.",
        )


def _no_endpoint() -> Finding:
    path = urlsplit(setup.webhook_url()).path
    others = [each.url for each in gateway.endpoints() if urlsplit(each.url).path == path]
    elsewhere = f"; there is one for {', '.join(others)}" if others else ""
    return Finding(
        "webhook",
        f"Stripe has no endpoint that delivers to {setup.webhook_url()}{elsewhere}.",
        f"{_SETUP}, or correct APP_URL." if others else _SETUP,
    )


def _faults_of(endpoint: Endpoint) -> Findings:
    if not current_app.config["STRIPE_WEBHOOK_SECRETS"]:
        yield Finding("webhook", "STRIPE_WEBHOOK_SECRET is missing.", _SETUP)
    if not endpoint.is_enabled:
        yield Finding("webhook", f"{endpoint.id} is switched off at Stripe.", _SETUP)
    missing = set(webhooks.HANDLED) - endpoint.events
    if missing and "*" not in endpoint.events:
        yield Finding("webhook", f"{endpoint.id} lacks {', '.join(sorted(missing))}.", _SETUP)
    if endpoint.api_version != gateway.api_version():
        said = endpoint.api_version or "the account's own version"
        yield Finding(
            "webhook",
            f"{endpoint.id} sends {said} of Stripe's API, and we speak {gateway.api_version()}.",
            _SETUP,
        )


def _deliveries(endpoint_made: datetime) -> Findings:
    """Does what Stripe sends arrive? Compared: its list of events, and the ledger."""
    answer = knocking.knock()
    if answer is not knocking.Answer.ACCEPTED:
        yield _not_at_home(answer)
        return
    since = max(now() - _LOOK_BACK, endpoint_made)
    sent, lost = 0, []
    for stretch in catching_up.missing(since):
        sent += stretch.looked_at
        lost += [each.created for each in stretch.missing if each.created < now() - _ON_ITS_WAY]
    if lost:
        yield _why_lost(lost, sent)
    elif sent:
        yield Finding("deliveries", f"All of Stripe's last {sent} events arrived.")
    else:
        yield Finding("deliveries", "Nothing has happened yet, so the webhook secret is untried.")


def _not_at_home(answer: knocking.Answer) -> Finding:
    if answer is knocking.Answer.NOBODY:
        said = f"Nobody accepts webhooks at {setup.webhook_url()}."
        return Finding("deliveries", said, "Start the application there, or correct APP_URL.")
    return Finding(
        "deliveries",
        f"The application at {setup.webhook_url()} runs with another STRIPE_WEBHOOK_SECRET than "
        "this command.",
        "Restart it with this configuration.",
    )


def _why_lost(lost: list[datetime], sent: int) -> Finding:
    """Single events were missed, or everything since a moment, which has another reason."""
    last = db.session.scalar(select(func.max(StripeEvent.created)))
    if last is not None and min(lost) <= last:
        said = f"{len(lost)} of Stripe's last {sent} events never arrived, or could not be applied."
        return Finding("deliveries", said, _CATCH_UP)
    return Finding(
        "deliveries",
        f"None of Stripe's last {len(lost)} events arrived, though the application accepts what is "
        "signed with STRIPE_WEBHOOK_SECRET: it is not the secret of Stripe's endpoint, or Stripe "
        "cannot reach it.",
        "Compare both at https://dashboard.stripe.com/webhooks, or unset it and run "
        f"{_SETUP}. Then: {_CATCH_UP}",
    )


def _portal() -> Findings:
    wanted = current_app.config["STRIPE_PORTAL_CONFIGURATION_ID"]
    portals = gateway.portals()
    used = next((each for each in portals if each.id == wanted), None)
    if not wanted:
        used = next((each for each in portals if each.is_default), None)
    if used is None or not used.is_active:
        said = f"{wanted} is not there" if wanted else "there is no configuration of the portal"
        yield Finding("portal", f"Nobody can open the portal: {said}.", _SETUP)
        return
    sold = {ids[0] for ids in current_app.config["STRIPE_PRICES"].values()}
    if not used.switches:
        yield Finding("portal", f"Nobody can change plans in the portal {used.id}.", _SETUP)
    elif lacking := sold - used.prices:
        said = f"The portal {used.id} does not offer {', '.join(sorted(lacking))}."
        yield Finding("portal", said, _SETUP)


def _tax() -> Findings:
    if not current_app.config["STRIPE_AUTOMATIC_TAX"]:
        return
    missing = gateway.missing_for_tax()
    if missing is not None:
        lacks = f" It lacks: {', '.join(missing)}." if missing else ""
        yield Finding(
            "tax",
            f"STRIPE_AUTOMATIC_TAX is on, and Stripe Tax is not active: checkouts fail.{lacks}",
            "Fill in https://dashboard.stripe.com/settings/tax, or set STRIPE_AUTOMATIC_TAX=false",
        )


_CHECKS: dict[str, Callable[[], Findings]] = {
    "account": _account,
    "prices": _prices,
    "webhook": _endpoint,
    "portal": _portal,
    "tax": _tax,
}
