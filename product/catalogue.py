"""Your plans: names, displayed prices, features and quotas.

Stripe charges its own prices. After changing a price here, run `flask billing setup` to create the
new one; existing subscribers keep the old one. An invalid catalogue is refused at startup.
"""

from saas.plans import UNLIMITED, Catalogue, Monthly, Plan

CURRENCY = "usd"
PRORATION = "always_invoice"  # upgrades are charged immediately; see docs/selling.md

STARTER = Plan(
    id="starter",
    name="Starter",
    summary="Try it out, free for as long as you like.",
    rank=0,
    free=True,
    bullets=("Your own account", "Passwordless sign-in", "Delete your account at any time"),
)
PRO = Plan(
    id="pro",
    name="Pro",
    summary="For individual makers.",
    rank=1,
    prices={"monthly": 1500, "yearly": 14400},
    highlighted=True,
    bullets=("Everything in Starter", "100 share cards a month", "Light and dark cards"),
    quotas={"cards": Monthly(100)},
)
BUSINESS = Plan(
    id="business",
    name="Business",
    summary="For people who publish every day.",
    rank=2,
    prices={"monthly": 3000, "yearly": 30000},
    bullets=("Everything in Pro", "Unlimited share cards", "No monthly reset to wait for"),
    quotas={"cards": UNLIMITED},
)

catalogue = Catalogue(CURRENCY, (STARTER, PRO, BUSINESS), PRORATION)
