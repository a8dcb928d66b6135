"""Idempotency keys over real HTTP: concurrent and repeated requests."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
import stripe

from .conftest import KEY, Prices

SetFaults = Callable[..., None]

LONG = 1.5
SLOWLY = """
import sys
import stripe
api = stripe.StripeClient(sys.argv[1], base_addresses={"api": sys.argv[2] + "/stripe"})
print("ready", flush=True)
print(api.v1.customers.create({"name": "Ada"}, {"idempotency_key": "once"}).id)
"""


@pytest.fixture
def over_http(served: str) -> Iterator[stripe.StripeClient]:
    """A client without retries, which returns each response as it is."""
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        KEY,
        base_addresses={"api": f"{served}/stripe"},
        http_client=http,
        max_network_retries=0,
    )
    http.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def set_faults(served: str) -> SetFaults:
    def set_shares(**fault: float) -> None:
        requests.post(
            f"{served}/stripe/control/faults", json=fault, auth=(KEY, ""), timeout=10
        ).raise_for_status()

    return set_shares


@pytest.fixture
def slow_call(over_http: stripe.StripeClient, set_faults: SetFaults) -> Iterator[Any]:
    """A slow call with the key "once", while later calls have no fault."""
    set_faults(slow=1, slow_seconds=LONG)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(create, over_http, "Ada")
        time.sleep(0.4)  # until it has started
        set_faults()
        yield running


def create(api: stripe.StripeClient, name: str, key: str = "once") -> stripe.Customer:
    return api.v1.customers.create({"name": name}, {"idempotency_key": key})


def code_of(error: stripe.StripeError) -> str | None:
    """Return the code in the body, which the SDK's attribute lacks for a 409."""
    assert error.error
    return error.error.code


def test_the_second_of_two_concurrent_requests_is_409(
    over_http: stripe.StripeClient, slow_call: Any
) -> None:
    with pytest.raises(stripe.StripeError) as refused:
        create(over_http, "Ada")
    first = slow_call.result()
    again = create(over_http, "Ada")

    assert (refused.value.http_status, code_of(refused.value)) == (409, "idempotency_key_in_use")
    assert dict(refused.value.headers or {})["Stripe-Should-Retry"] == "true"
    assert again.id == first.id
    assert again.last_response
    assert dict(again.last_response.headers)["Idempotent-Replayed"] == "true"
    assert len(over_http.v1.customers.list().data) == 1


def test_the_sdk_retries_until_the_first_has_finished(served: str, slow_call: Any) -> None:
    http = stripe.RequestsClient()
    patient = stripe.StripeClient(
        KEY, base_addresses={"api": f"{served}/stripe"}, http_client=http, max_network_retries=5
    )

    assert create(patient, "Ada").id == slow_call.result().id
    http.close()  # type: ignore[no-untyped-call]


def test_a_key_in_use_with_other_parameters_is_another_error(
    over_http: stripe.StripeClient, slow_call: Any
) -> None:
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        create(over_http, "Grace")


def test_requests_of_one_account_run_concurrently(
    over_http: stripe.StripeClient, slow_call: Any
) -> None:
    other = create(over_http, "Grace", "another key")
    unkeyed = over_http.v1.customers.list().data

    assert not slow_call.done()
    assert [customer.id for customer in unkeyed] == [other.id]
    assert slow_call.result().name == "Ada"


def test_accounts_have_separate_idempotency_keys(served: str, slow_call: Any) -> None:
    http = stripe.RequestsClient()
    stranger = stripe.StripeClient(
        "sk_test_fedcba9876543210", base_addresses={"api": f"{served}/stripe"}, http_client=http
    )

    assert create(stranger, "Ada").id
    assert not slow_call.done()
    http.close()  # type: ignore[no-untyped-call]


def test_two_processes_with_one_key_create_one_customer(
    served: str, over_http: stripe.StripeClient, set_faults: SetFaults
) -> None:
    set_faults(slow=1, slow_seconds=LONG)
    other = subprocess.Popen(  # noqa: S603 our own command
        [sys.executable, "-c", SLOWLY, KEY, served], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "ready\n"
    time.sleep(0.4)  # until its request has started
    set_faults()

    with pytest.raises(stripe.StripeError) as refused:
        create(over_http, "Ada")
    theirs, _ = other.communicate(timeout=30)

    assert code_of(refused.value) == "idempotency_key_in_use"
    assert [c.id for c in over_http.v1.customers.list().data] == [theirs.strip()]


def test_many_concurrent_requests_with_one_key_have_one_effect(
    over_http: stripe.StripeClient,
) -> None:
    def attempt(_: int) -> int | None:
        try:
            return create(over_http, "Ada") and 200
        except stripe.StripeError as error:
            return error.http_status

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(attempt, range(24)))

    assert 200 in statuses
    assert statuses <= {200, 409}
    assert len(over_http.v1.customers.list().data) == 1


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda api, key: api.v1.customers.update("cus_none", {"name": "A"}, key), 404),
        (lambda api, key: api.v1.refunds.create({"charge": "ch_none"}, key), 400),
        (lambda api, key: api.v1.payment_methods.detach("pm_none", {}, key), 404),
    ],
    ids=["404 of a path", "400 of a parameter", "404 of an action"],
)
def test_a_refusal_after_execution_started_is_stored_under_its_key(
    api: stripe.StripeClient, call: Any, status: int
) -> None:
    responses = []
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            call(api, {"idempotency_key": "refused"})
        responses.append((refused.value, dict(refused.value.headers or {})))

    (first, fresh), (second, replayed) = responses
    assert (first.http_status, second.http_status) == (status, status)
    assert str(first.error) == str(second.error)
    assert "Idempotent-Replayed" not in fresh
    assert replayed["Idempotent-Replayed"] == "true"


def test_a_stored_refusal_is_returned_after_its_reason_is_gone(api: stripe.StripeClient) -> None:
    def make() -> stripe.Product:
        return api.v1.products.create({"name": "Pro", "id": "pro"}, {"idempotency_key": "k"})

    api.v1.products.create({"name": "Pro", "id": "pro"})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        make()
    api.v1.products.delete("pro")

    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        make()


@pytest.mark.parametrize(
    "wrong",
    [{"email": "wrong"}, {"name": "x" * 257}, {"metadata": {"k" * 41: "v"}}, {"emial": "a@b.co"}],
    ids=["value", "length", "metadata", "name"],
)
def test_a_refusal_before_execution_does_not_use_up_the_key(
    api: stripe.StripeClient, wrong: Any
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        api.v1.customers.create(wrong, {"idempotency_key": "k"})

    assert api.v1.customers.create({"email": "a@b.co"}, {"idempotency_key": "k"}).id


def test_a_get_has_no_key(api: stripe.StripeClient, prices: Prices) -> None:
    options: Any = {"idempotency_key": "k"}

    assert api.v1.prices.retrieve(prices.pro, {}, options).id == prices.pro
    assert api.v1.prices.retrieve(prices.business, {}, options).id == prices.business
