"""Disputes: opened by the bank, countered with evidence, accepted, and decided."""

from typing import Any

import pytest
import stripe
from flask import Flask

from .conftest import Prices, RecordingEndpoint, Subscriber, call_admin_api, plain_metadata


@pytest.fixture
def charge(subscriber: Subscriber, prices: Prices) -> str:
    """A paid charge of $15."""
    subscriber.subscribe(prices.pro)
    return subscriber.api.v1.charges.list({"customer": subscriber.customer}).data[0].id


@pytest.fixture
def dispute(
    app: Flask, charge: str, endpoint: object, receiver: RecordingEndpoint
) -> dict[str, Any]:
    """An open dispute; the endpoint has recorded only its events."""
    opened: dict[str, Any] = call_admin_api(app, "disputes", charge=charge)
    return opened


def test_a_dispute_withdraws_the_amount_and_a_fee(
    dispute: dict[str, Any], receiver: RecordingEndpoint
) -> None:
    assert receiver.types == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    withdrawn = receiver.last("charge.dispute.funds_withdrawn")["data"]["object"]
    assert withdrawn["id"] == dispute["id"]
    [transaction] = withdrawn["balance_transactions"]
    assert (transaction["amount"], transaction["fee"], transaction["net"]) == (-1500, 1500, -3000)


@pytest.mark.parametrize(
    ("text", "status", "events"),
    [
        ("winning_evidence", "won", ["updated", "closed", "funds_reinstated"]),
        ("losing_evidence", "lost", ["updated", "closed"]),
        ("The customer used the product every day.", "under_review", ["updated"]),
    ],
)
def test_submitted_evidence_decides_as_in_stripe_s_test_mode(
    api: stripe.StripeClient,
    dispute: dict[str, Any],
    charge: str,
    receiver: RecordingEndpoint,
    text: str,
    status: str,
    events: list[str],
) -> None:
    receiver.posted.clear()

    result = api.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": text}})

    assert (result.status, result.evidence.uncategorized_text) == (status, text)
    details = result.evidence_details
    assert (details.has_evidence, details.submission_count, details.submission_method) == (
        True, 1, "manual",
    )  # fmt: skip
    assert receiver.types == [f"charge.dispute.{event}" for event in events]
    update = receiver.last("charge.dispute.updated")["data"]
    assert update["object"]["status"] == "under_review"
    assert update["previous_attributes"]["status"] == "needs_response"
    disputed = api.v1.charges.retrieve(charge)
    assert (disputed.disputed, disputed.refunded, disputed.amount_refunded) == (True, False, 0)


def test_a_won_dispute_returns_the_amount_without_the_fee(
    api: stripe.StripeClient, dispute: dict[str, Any]
) -> None:
    won = api.v1.disputes.update(
        dispute["id"], {"evidence": {"uncategorized_text": "winning_evidence"}}
    )

    assert [entry.net for entry in won.balance_transactions] == [-3000, 1500]


def test_evidence_can_be_staged_and_submitted_later(
    api: stripe.StripeClient, dispute: dict[str, Any], receiver: RecordingEndpoint
) -> None:
    staged = api.v1.disputes.update(
        dispute["id"],
        {"evidence": {"uncategorized_text": "losing_evidence"}, "submit": False},
    )
    assert (staged.status, staged.evidence_details.submission_count) == ("needs_response", 0)
    assert staged.evidence_details.has_evidence
    assert receiver.types[-1] == "charge.dispute.updated"

    submitted = api.v1.disputes.update(dispute["id"], {"submit": True})

    assert submitted.status == "lost"


def test_metadata_is_updated_without_submitting(
    api: stripe.StripeClient, dispute: dict[str, Any], receiver: RecordingEndpoint
) -> None:
    updated = api.v1.disputes.update(dispute["id"], {"metadata": {"ticket": "42"}})

    assert (updated.status, plain_metadata(updated.metadata)) == (
        "needs_response",
        {"ticket": "42"},
    )
    assert receiver.types[-1] == "charge.dispute.updated"


def test_a_dispute_is_accepted_once(
    api: stripe.StripeClient, dispute: dict[str, Any], charge: str, receiver: RecordingEndpoint
) -> None:
    assert api.v1.disputes.close(dispute["id"]).status == "lost"
    assert receiver.types[-1] == "charge.dispute.closed"
    before = len(receiver.posted)

    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        api.v1.disputes.close(dispute["id"])
    with pytest.raises(stripe.InvalidRequestError, match="evidence cannot be updated"):
        api.v1.disputes.update(
            dispute["id"], {"evidence": {"uncategorized_text": "winning_evidence"}}
        )

    assert len(receiver.posted) == before
    lost = api.v1.charges.retrieve(charge)
    assert (lost.disputed, lost.refunded) == (True, False)


def test_evidence_is_submitted_once(api: stripe.StripeClient, dispute: dict[str, Any]) -> None:
    evidence: Any = {"evidence": {"product_description": "A tool"}}
    assert api.v1.disputes.update(dispute["id"], evidence).status == "under_review"

    with pytest.raises(stripe.InvalidRequestError, match="status of under_review"):
        api.v1.disputes.update(dispute["id"], evidence)


def test_a_charged_back_payment_is_refunded_only_after_the_dispute_is_won(
    api: stripe.StripeClient, dispute: dict[str, Any], charge: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.refunds.create({"charge": charge})
    assert refused.value.code == "charge_disputed"

    api.v1.disputes.update(dispute["id"], {"evidence": {"uncategorized_text": "winning_evidence"}})

    assert api.v1.refunds.create({"charge": charge}).amount == 1500


def test_disputes_are_found_by_payment_and_by_charge(
    api: stripe.StripeClient, dispute: dict[str, Any], charge: str
) -> None:
    for condition in ({"payment_intent": dispute["payment_intent"]}, {"charge": charge}):
        [found] = api.v1.disputes.list(condition).data  # type: ignore[arg-type]
        assert found.id == dispute["id"]
    assert api.v1.disputes.list({"payment_intent": "pi_other"}).data == []


def test_what_was_refunded_is_not_disputed(
    app: Flask, api: stripe.StripeClient, charge: str
) -> None:
    api.v1.refunds.create({"charge": charge, "amount": 500})

    assert call_admin_api(app, "disputes", charge=charge)["amount"] == 1000


def test_evidence_in_files_is_refused(api: stripe.StripeClient, dispute: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        api.v1.disputes.update(dispute["id"], {"evidence": {"receipt": "file_123"}})

    assert refused.value.param == "evidence[receipt]"
    assert api.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
