"""Injected faults, and their repetition with the same seed."""

from typing import Any

import pytest
import requests
import stripe
from flask import Flask
from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import BASE_ADDRESS, client

from .conftest import KEY, FakeTime, RecordingEndpoint, call_admin_api

FAULTS = {"duplicate": 0.3, "drop": 0.3, "delay": 0.3, "reorder": 0.3, "delay_seconds": 9}


def run(seed: int, **faults: float) -> tuple[list[str], list[str]]:
    """Create thirty customers with these faults; return delivered names and results of calls."""
    fake_time, receiver = FakeTime(), RecordingEndpoint()
    app = create_sandbox(post=receiver, now=fake_time, inline=True)
    api = client(app, KEY)
    api.v1.webhook_endpoints.create({"url": "https://shop.test/", "enabled_events": ["*"]})
    call_admin_api(app, "faults", seed=seed, **faults)
    calls = []
    for number in range(30):
        try:
            api.v1.customers.create({"name": str(number)})
            calls.append("fine")
        except stripe.StripeError as error:
            calls.append(type(error).__name__)
    for _ in range(30):
        fake_time.time += 1
        app.extensions["sandbox"].background.drain()
    app.extensions["sandbox"].close()
    return [event["data"]["object"]["name"] for event in receiver.posted], calls


def test_the_same_seed_gives_the_same_deliveries() -> None:
    assert run(7, **FAULTS) == run(7, **FAULTS)
    assert run(7, **FAULTS) != run(8, **FAULTS)


def test_deliveries_are_duplicated_dropped_and_reordered() -> None:
    arrived, _ = run(7, **FAULTS)

    in_order = [str(number) for number in range(30)]
    assert any(arrived.count(name) == 2 for name in in_order)
    assert set(arrived) < set(in_order)
    assert arrived != sorted(arrived, key=int)


def test_the_same_seed_gives_the_same_failures_of_calls() -> None:
    faults = {"too_many": 0.2, "broken": 0.2, "rubbish": 0.2}

    _, calls = run(3, **faults)

    assert calls == run(3, **faults)[1]
    assert set(calls) == {"fine", "RateLimitError", "APIError"}


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [("too_many", stripe.RateLimitError, 429), ("broken", stripe.APIError, 500)],
)
def test_a_refused_call_has_no_effect(
    app: Flask, api: stripe.StripeClient, fault: str, error: Any, status: int
) -> None:
    call_admin_api(app, "faults", **{fault: 1})
    with pytest.raises(error) as refused:
        api.v1.customers.create({})
    call_admin_api(app, "faults")

    assert refused.value.http_status == status
    assert api.v1.customers.list().data == []


@pytest.mark.parametrize("fault", ["cut", "rubbish"])
def test_a_call_with_a_lost_response_has_its_effect_and_is_found_by_its_key(
    app: Flask, api: stripe.StripeClient, fault: str
) -> None:
    call_admin_api(app, "faults", **{fault: 1})
    with pytest.raises(stripe.StripeError):
        api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"})
    call_admin_api(app, "faults")

    again = api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"})

    assert [c.id for c in api.v1.customers.list().data] == [again.id]


def test_a_slow_call_gets_a_late_response(served: str) -> None:
    base: Any = {"api": f"{served}/stripe"}
    hasty, patient = stripe.RequestsClient(timeout=(2, 0.3)), stripe.RequestsClient(timeout=30)
    fault = {"slow": 1, "slow_seconds": 0.8}
    requests.post(f"{served}/stripe/control/faults", json=fault, auth=(KEY, ""), timeout=10)

    with pytest.raises(stripe.APIConnectionError):
        stripe.StripeClient(KEY, base_addresses=base, http_client=hasty).v1.customers.list()
    slow = stripe.StripeClient(KEY, base_addresses=base, http_client=patient)
    assert slow.v1.customers.list().data == []

    for http in (hasty, patient):
        http.close()  # type: ignore[no-untyped-call]


def test_faults_are_off_by_default_and_can_be_reset(app: Flask, api: stripe.StripeClient) -> None:
    call_admin_api(app, "faults", drop=1)

    shares = call_admin_api(app, "faults")

    assert not any(shares[name] for name in ("drop", "duplicate", "cut", "too_many"))


@pytest.mark.parametrize(
    "body", [{"drop": 2}, {"drop": "x"}, {"hail": 1}, [], "x", {"slow_seconds": 10**9}]
)
def test_unknown_faults_are_refused(app: Flask, body: Any) -> None:
    response = app.test_client().post(
        "/stripe/control/faults",
        base_url=BASE_ADDRESS,
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
    )

    assert response.status_code == 400
    assert response.json["error"]["fields"]


def test_over_http_responses_can_be_cut_or_late(served: str) -> None:
    http = stripe.RequestsClient(timeout=(2, 0.3))
    addresses: Any = {"api": f"{served}/stripe"}
    api = stripe.StripeClient(KEY, base_addresses=addresses, http_client=http)
    patient = stripe.StripeClient(
        KEY, base_addresses=addresses, http_client=http, max_network_retries=5
    )

    def set_faults(**fault: float) -> None:
        requests.post(
            f"{served}/stripe/control/faults", json=fault, auth=(KEY, ""), timeout=10
        ).raise_for_status()

    for fault in ({"cut": 1}, {"slow": 1, "slow_seconds": 0.8}):
        set_faults(**fault)
        with pytest.raises(stripe.APIConnectionError):
            api.v1.customers.create({"name": "Ada"}, {"idempotency_key": str(fault)})
        set_faults()
        patient.v1.customers.create({"name": "Ada"}, {"idempotency_key": str(fault)})

    assert len(api.v1.customers.list().data) == 2
    http.close()  # type: ignore[no-untyped-call]
