"""Your plans: names, prices as people read them, features, quotas.

What is charged is at Stripe: after a change of a price, `flask billing setup` makes the new one,
and existing subscribers keep the old. A catalogue that cannot be sold is refused at start.
"""

from saas.plans import UNLIMITED, Catalogue, Plan

CURRENCY = "usd"

STARTER = Plan(
    id="starter",
    name="Starter",
    summary="Look around, free for as long as you like.",
    rank=0,
    free=True,
    features=("Your own account", "Sign-in without a password", "Closed and deleted when you say"),
)
PRO = Plan(
    id="pro",
    name="Pro",
    summary="For one person who ships.",
    rank=1,
    monthly=1500,
    yearly=14400,
    highlighted=True,
    features=("Everything in Starter", "100 share cards a month", "Light and dark cards"),
    quotas={"cards": 100},
)
BUSINESS = Plan(
    id="business",
    name="Business",
    summary="For those who publish all day.",
    rank=2,
    monthly=3000,
    yearly=30000,
    features=("Everything in Pro", "Share cards without a limit"),
    quotas={"cards": UNLIMITED},
)

catalogue = Catalogue(CURRENCY, (STARTER, PRO, BUSINESS))
