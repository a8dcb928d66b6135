"""The payments on a customer's page of the dashboard: refunds and disputes by button."""

from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from .conftest import Browser, Prices, RecordingEndpoint, Subscriber

REFUND, HALF, DISPUTE = "Refund in full", "Refund half", "Open a dispute"
LOSE, WIN = "The bank decides for the customer", "The bank decides for you"


@dataclass
class Panel:
    """The page of a customer who has paid $15, and the events since."""

    browser: Browser
    url: str
    charge: str
    receiver: RecordingEndpoint

    def press(self, action: str) -> Any:
        self.receiver.posted.clear()
        return self.browser.post(f"{self.url}/payments/{self.charge}", action=action)

    @property
    def text(self) -> str:
        text: str = self.browser.get(self.url).text
        return text

    @property
    def buttons(self) -> list[str]:
        names = (REFUND, "Refund the rest", HALF, DISPUTE, LOSE, WIN)
        return [name for name in names if f">{name}</button>" in self.text]


@pytest.fixture
def panel(
    browser: Browser, subscriber: Subscriber, prices: Prices, endpoint: object,
    receiver: RecordingEndpoint,
) -> Panel:  # fmt: skip
    subscriber.subscribe(prices.pro)
    [charge] = subscriber.api.v1.charges.list({"customer": subscriber.customer}).data
    account = subscriber.api.v1.accounts.retrieve_current().id
    url = f"/stripe/accounts/{account}/customers/{subscriber.customer}"
    return Panel(browser, url, charge.id, receiver)


def charge_of(api: stripe.StripeClient, panel: Panel) -> stripe.Charge:
    return api.v1.charges.retrieve(panel.charge)


def test_a_customer_without_payments_has_an_empty_list(
    api: stripe.StripeClient, browser: Browser, customer: stripe.Customer
) -> None:
    account = api.v1.accounts.retrieve_current().id

    page = browser.get(f"/stripe/accounts/{account}/customers/{customer.id}").text

    assert "No payments yet." in page


def test_a_payment_is_refunded_in_full(api: stripe.StripeClient, panel: Panel) -> None:
    assert panel.buttons == [REFUND, HALF, DISPUTE]

    response = panel.press("refund")

    assert (response.status_code, response.location) == (303, f"{panel.url}#payments")
    assert charge_of(api, panel).refunded
    assert panel.receiver.types == ["refund.created", "charge.refunded"]
    assert "$15.00 refunded" in panel.text
    assert panel.buttons == []


def test_half_of_a_payment_is_refunded_then_the_rest(
    api: stripe.StripeClient, panel: Panel
) -> None:
    panel.press("refund_half")
    assert charge_of(api, panel).amount_refunded == 750
    assert panel.buttons == ["Refund the rest", DISPUTE]

    panel.press("refund")

    assert charge_of(api, panel).amount_refunded == 1500


@pytest.mark.parametrize(
    ("action", "status", "events", "buttons"),
    [
        ("lose", "lost", ["closed"], []),
        ("win", "won", ["closed", "funds_reinstated"], [REFUND, HALF]),
    ],
)
def test_the_bank_decides_a_dispute(
    api: stripe.StripeClient, panel: Panel, action: str, status: str, events: list[str],
    buttons: list[str],
) -> None:  # fmt: skip
    panel.press("dispute")
    assert panel.receiver.types == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert ">Disputed</span>" in panel.text
    assert panel.buttons == [LOSE, WIN]

    panel.press(action)

    assert panel.receiver.types == [f"charge.dispute.{event}" for event in events]
    assert api.v1.disputes.list({"charge": panel.charge}).data[0].status == status
    assert charge_of(api, panel).disputed
    assert f">Dispute {status}</span>" in panel.text
    assert panel.buttons == buttons


@pytest.mark.parametrize(
    ("before", "action", "words"),
    [
        (["refund"], "refund", "$15.00 was already refunded."),
        (["refund"], "dispute", "$15.00 was already refunded."),
        (["refund_half"], "refund_half", "$7.50 of $15.00 were already refunded."),
        ([], "win", "$15.00 is not disputed."),
        (["dispute"], "dispute", "The bank must decide first."),
        (["dispute"], "refund", "The bank must decide first."),
        (["dispute", "lose"], "lose", "was already lost."),
        (["dispute", "lose"], "refund_half", "was already lost."),
        (["dispute", "win"], "lose", "was already won."),
    ],
)
def test_an_impossible_action_is_explained_and_changes_nothing(
    api: stripe.StripeClient, panel: Panel, before: list[str], action: str, words: str
) -> None:
    for name in before:
        panel.press(name)
    charge = charge_of(api, panel).to_dict()

    response = panel.press(action)

    assert response.status_code == 422
    assert words in response.text
    assert panel.receiver.types == []
    assert charge_of(api, panel).to_dict() == charge


def test_evidence_under_review_is_decided_by_button(api: stripe.StripeClient, panel: Panel) -> None:
    panel.press("dispute")
    [dispute] = api.v1.disputes.list({"charge": panel.charge}).data
    api.v1.disputes.update(dispute.id, {"evidence": {"product_description": "A tool"}})
    assert "Evidence under review" in panel.text

    panel.press("win")

    assert api.v1.disputes.retrieve(dispute.id).status == "won"


def test_the_newest_twenty_successful_payments_are_listed(
    api: stripe.StripeClient, panel: Panel, subscriber: Subscriber
) -> None:
    common: Any = {"currency": "usd", "customer": subscriber.customer, "confirm": True}
    method = subscriber.pay_with("pm_card_visa")
    for dollars in range(31, 52):
        api.v1.payment_intents.create({"amount": dollars * 100, "payment_method": method, **common})
    failing = subscriber.pay_with("pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        api.v1.payment_intents.create({"amount": 9900, "payment_method": failing, **common})

    amounts = [dollars for dollars in range(100) if f'">${dollars}.00</a>' in panel.text]

    assert amounts == list(range(32, 52))
    assert panel.text.index(">$51.00</a>") < panel.text.index(">$50.00</a>")


def test_payments_of_a_deleted_customer_can_be_refunded(
    api: stripe.StripeClient, panel: Panel, subscriber: Subscriber
) -> None:
    api.v1.customers.delete(subscriber.customer)

    assert panel.press("refund").status_code == 303

    assert charge_of(api, panel).refunded


def test_unknown_actions_and_payments_of_others_are_refused(
    api: stripe.StripeClient, panel: Panel, customer: stripe.Customer
) -> None:
    other = panel.url.rpartition("/")[0]

    assert panel.press("burn").status_code == 400
    for path in (
        f"{panel.url}/payments/ch_unknown",
        f"{other}/{customer.id}/payments/{panel.charge}",
    ):
        assert panel.browser.post(path, action="refund").status_code == 404
    assert not charge_of(api, panel).refunded
