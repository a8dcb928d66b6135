"""Bad weather, and the same bad weather again."""

from typing import Any

import pytest
import requests
import stripe
from flask import Flask
from saas_sandbox import create_sandbox
from saas_sandbox.inprocess import BASE_ADDRESS, client

from .conftest import KEY, FakeTime, RecordingEndpoint, admin_api

STORM = {"duplicate": 0.3, "drop": 0.3, "delay": 0.3, "reorder": 0.3, "delay_seconds": 9}


def run(seed: int, **weather: float) -> tuple[list[str], list[str]]:
    """Thirty customers in this weather: what arrived, by name, and what happened to the calls."""
    fake_time, receiver = FakeTime(), RecordingEndpoint()
    app = create_sandbox(post=receiver, now=fake_time, inline=True)
    api = client(app, KEY)
    api.v1.webhook_endpoints.create({"url": "https://shop.test/", "enabled_events": ["*"]})
    admin_api(app, "faults", seed=seed, **weather)
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


def test_the_same_seed_brings_the_same_deliveries() -> None:
    assert run(7, **STORM) == run(7, **STORM)
    assert run(7, **STORM) != run(8, **STORM)


def test_deliveries_are_doubled_dropped_and_overtaken() -> None:
    arrived, _ = run(7, **STORM)

    in_order = [str(number) for number in range(30)]
    assert any(arrived.count(name) == 2 for name in in_order)
    assert set(arrived) < set(in_order)
    assert arrived != sorted(arrived, key=int)


def test_the_same_seed_brings_the_same_failures_of_calls() -> None:
    storm = {"too_many": 0.2, "broken": 0.2, "rubbish": 0.2}

    _, calls = run(3, **storm)

    assert calls == run(3, **storm)[1]
    assert set(calls) == {"fine", "RateLimitError", "APIError"}


@pytest.mark.parametrize(
    ("mishap", "error", "status"),
    [("too_many", stripe.RateLimitError, 429), ("broken", stripe.APIError, 500)],
)
def test_a_refused_call_has_done_nothing(
    app: Flask, api: stripe.StripeClient, mishap: str, error: Any, status: int
) -> None:
    admin_api(app, "faults", **{mishap: 1})
    with pytest.raises(error) as refused:
        api.v1.customers.create({})
    admin_api(app, "faults")

    assert refused.value.http_status == status
    assert api.v1.customers.list().data == []


@pytest.mark.parametrize("mishap", ["cut", "rubbish"])
def test_a_lost_answer_was_work_done_and_its_key_finds_it(
    app: Flask, api: stripe.StripeClient, mishap: str
) -> None:
    admin_api(app, "faults", **{mishap: 1})
    with pytest.raises(stripe.StripeError):
        api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"})
    admin_api(app, "faults")

    again = api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"})

    assert [c.id for c in api.v1.customers.list().data] == [again.id]


def test_a_slow_call_takes_its_time_and_is_answered(served: str) -> None:
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


def test_fair_weather_is_the_default_and_comes_back(app: Flask, api: stripe.StripeClient) -> None:
    admin_api(app, "faults", drop=1)

    weather = admin_api(app, "faults")

    assert not any(weather[name] for name in ("drop", "duplicate", "cut", "too_many"))


@pytest.mark.parametrize(
    "body", [{"drop": 2}, {"drop": "x"}, {"hail": 1}, [], "x", {"slow_seconds": 10**9}]
)
def test_weather_that_does_not_exist_is_refused(app: Flask, body: Any) -> None:
    response = app.test_client().post(
        "/stripe/control/faults",
        base_url=BASE_ADDRESS,
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
    )

    assert response.status_code == 400
    assert response.json["error"]["fields"]


def test_over_http_an_answer_is_cut_and_another_comes_too_late(served: str) -> None:
    http = stripe.RequestsClient(timeout=(2, 0.3))
    address: Any = {"api": f"{served}/stripe"}
    api = stripe.StripeClient(KEY, base_addresses=address, http_client=http)
    patient = stripe.StripeClient(
        KEY, base_addresses=address, http_client=http, max_network_retries=5
    )

    def weather(**fault: float) -> None:
        requests.post(
            f"{served}/stripe/control/faults", json=fault, auth=(KEY, ""), timeout=10
        ).raise_for_status()

    for fault in ({"cut": 1}, {"slow": 1, "slow_seconds": 0.8}):
        weather(**fault)
        with pytest.raises(stripe.APIConnectionError):
            api.v1.customers.create({"name": "Ada"}, {"idempotency_key": str(fault)})
        weather()
        patient.v1.customers.create({"name": "Ada"}, {"idempotency_key": str(fault)})

    assert len(api.v1.customers.list().data) == 2
    http.close()  # type: ignore[no-untyped-call]
