from saas.plans import UNLIMITED, Catalogue, Monthly, Plan, Trial

HOBBY = Plan(
    id="hobby",
    name="Hobby",
    summary="For a first look.",
    rank=0,
    free=True,
    bullets=("An account",),
)
SOLO = Plan(
    id="solo",
    name="Solo",
    summary="For one who writes.",
    rank=1,
    prices={"monthly": 1500, "yearly": 14400},
    highlighted=True,
    bullets=("Everything in Hobby", "100 reports a month"),
    quotas={"reports": Monthly(100)},
)
TEAM = Plan(
    id="team",
    name="Team",
    summary="For several who write.",
    rank=2,
    prices={"monthly": 3000, "yearly": 30000},
    bullets=("Everything in Solo", "Reports without a limit"),
    quotas={"reports": UNLIMITED},
    features={"branding"},
)
AGENCY = Plan(
    id="agency",
    name="Agency",
    summary="For those who write for others.",
    rank=3,
    prices={"yearly": 90000},
    trial=Trial(days=14),
    bullets=("Everything in Team",),
    quotas={"reports": UNLIMITED},
    features={"branding"},
)

# These two are sold only by the tests that add them.
LIFETIME = Plan(
    id="lifetime",
    name="Lifetime",
    summary="Solo, paid for once.",
    rank=4,
    bullets=("Solo for good",),
    prices={"once": 29900},
    grants="solo",
)
STUDIO = Plan(
    id="studio",
    name="Studio",
    summary="For those who write together.",
    rank=5,
    prices={"monthly": 12000},
    trial=Trial(14, card_required=False, missing_payment_method="pause"),
    bullets=("Everything in Agency",),
)

catalogue = Catalogue("eur", (HOBBY, SOLO, TEAM, AGENCY))
