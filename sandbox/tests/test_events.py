"""Events and their delivery: signed, at least once, and retried unless the response is 2xx."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import stripe
from saas_sandbox import create_sandbox
from saas_sandbox.stripe.webhook_sender import EndpointResponse

from .conftest import KEY, FakeTime, Prices, RecordingEndpoint, Subscriber, at


def test_an_event_has_a_valid_signature(
    api: stripe.StripeClient, endpoint: stripe.WebhookEndpoint, receiver: RecordingEndpoint
) -> None:
    api.v1.customers.create({"email": "ada@example.com"})

    event = stripe.Webhook.construct_event(
        receiver.bodies[0], receiver.headers[0]["Stripe-Signature"], endpoint.secret
    )

    assert (event.type, event.object, event.livemode) == ("customer.created", "event", False)
    assert event.api_version == "2026-10-28.endive"


def test_another_secret_does_not_verify_it(
    api: stripe.StripeClient, endpoint: stripe.WebhookEndpoint, receiver: RecordingEndpoint
) -> None:
    api.v1.customers.create({})

    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            receiver.bodies[0], receiver.headers[0]["Stripe-Signature"], "whsec_other"
        )


def test_an_update_contains_the_previous_attributes(
    api: stripe.StripeClient,
    customer: stripe.Customer,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    api.v1.customers.update(customer.id, {"name": "Ada L.", "metadata": {"a": "1"}})

    [event] = receiver.posted
    assert event["data"]["previous_attributes"] == {"name": "Ada", "metadata": {"a": None}}


def test_an_update_without_changes_causes_no_event(
    api: stripe.StripeClient,
    customer: stripe.Customer,
    endpoint: object,
    receiver: RecordingEndpoint,
) -> None:
    api.v1.customers.update(customer.id, {"name": "Ada"})

    assert receiver.posted == []


def test_events_are_listed_and_retrieved(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    api.v1.products.create({"name": "Pro"})

    [events] = api.v1.events.list({"type": "customer.created"}).data

    assert api.v1.events.retrieve(events.id).data.object["id"] == customer.id
    assert [e.type for e in api.v1.events.list({"types": ["product.*"]}).data] == [
        "product.created"
    ]


def test_an_endpoint_receives_its_enabled_events(
    api: stripe.StripeClient, receiver: RecordingEndpoint
) -> None:
    api.v1.webhook_endpoints.create(
        {"url": "https://shop.test/webhooks", "enabled_events": ["product.created"]}
    )

    api.v1.customers.create({})
    api.v1.products.create({"name": "Pro"})

    assert receiver.types == ["product.created"]


def test_a_disabled_or_deleted_endpoint_receives_nothing(
    api: stripe.StripeClient, endpoint: stripe.WebhookEndpoint, receiver: RecordingEndpoint
) -> None:
    api.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    api.v1.customers.create({})
    api.v1.webhook_endpoints.update(endpoint.id, {"disabled": False})
    api.v1.webhook_endpoints.delete(endpoint.id)
    api.v1.customers.create({})

    assert receiver.posted == []
    assert api.v1.webhook_endpoints.list().data == []


def test_the_secret_is_shown_once(
    api: stripe.StripeClient, endpoint: stripe.WebhookEndpoint
) -> None:
    assert endpoint.secret
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in api.v1.webhook_endpoints.retrieve(endpoint.id)


@pytest.mark.parametrize(
    "response",
    [
        EndpointResponse(500, "oops"),
        EndpointResponse(302, "elsewhere"),
        EndpointResponse(None, "connection refused"),
    ],
    ids=["error", "redirect", "down"],
)
def test_failed_deliveries_are_retried_with_growing_delays(
    api: stripe.StripeClient,
    endpoint: object,
    receiver: RecordingEndpoint,
    fake_time: FakeTime,
    response: EndpointResponse,
) -> None:
    receiver.response = response
    api.v1.customers.create({})
    tries = [fake_time.time]

    for _ in range(40):
        fake_time.time += 1
        before = len(receiver.posted)
        api.v1.accounts.retrieve_current()
        if len(receiver.posted) > before:
            tries.append(fake_time.time)

    gaps = [later - earlier for earlier, later in zip(tries, tries[1:], strict=False)]
    assert gaps == [1, 2, 4, 8, 16]
    assert len({event["id"] for event in receiver.posted}) == 1


def test_an_accepted_event_has_no_pending_deliveries(
    api: stripe.StripeClient, endpoint: object, receiver: RecordingEndpoint, fake_time: FakeTime
) -> None:
    receiver.response = EndpointResponse(500, "oops")
    api.v1.customers.create({})
    assert api.v1.events.list().data[0].pending_webhooks == 1
    assert len(api.v1.events.list({"delivery_success": False}).data) == 1

    receiver.response = EndpointResponse(200, "thanks")
    fake_time.time += 2
    api.v1.accounts.retrieve_current()

    [event] = api.v1.events.list().data
    assert api.v1.events.retrieve(event.id).pending_webhooks == 0
    assert api.v1.events.list({"delivery_success": False}).data == []


def test_delivery_is_given_up_after_three_days(
    api: stripe.StripeClient, endpoint: object, receiver: RecordingEndpoint, fake_time: FakeTime
) -> None:
    receiver.response = EndpointResponse(500, "oops")
    api.v1.customers.create({})

    for _ in range(100):
        fake_time.time += 3600
        api.v1.accounts.retrieve_current()
    given_up = len(receiver.posted)
    fake_time.time += 10 * 86400
    api.v1.accounts.retrieve_current()

    assert 72 < given_up < 90
    assert len(receiver.posted) == given_up


def test_the_payload_is_the_object_at_the_time_of_the_event(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscription = subscriber.subscribe(prices.pro)
    subscriber.api.v1.subscriptions.cancel(subscription.id)

    created = receiver.last("customer.subscription.created")["data"]["object"]

    assert created["status"] == "incomplete"
    assert "_internal" not in created


def test_events_have_the_time_of_the_test_clock(
    subscriber: Subscriber, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    subscriber.subscribe(prices.pro)

    subscriber.until(at(2026, 4, 10, 14))

    assert receiver.last("invoice.created")["created"] == at(2026, 4, 10)


class Shop(ThreadingHTTPServer):
    """A merchant's server whose first responses are failures."""

    daemon_threads = True

    def __init__(self, failures: int) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.failures = failures
        self.heard: Queue[tuple[bytes, str]] = Queue()


class Counter(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        shop: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 500 if shop.failures else 200
        shop.failures = max(shop.failures - 1, 0)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()
        shop.heard.put((body, self.headers["Stripe-Signature"]))

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop(failures=1)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http_an_event_is_retried_after_a_failure(served: str, shop: Shop) -> None:
    http = stripe.RequestsClient(timeout=(2, 8))
    api = stripe.StripeClient(KEY, base_addresses={"api": f"{served}/stripe"}, http_client=http)
    endpoint = api.v1.webhook_endpoints.create(
        {"url": f"http://127.0.0.1:{shop.server_port}/webhooks", "enabled_events": ["*"]}
    )

    api.v1.customers.create({"email": "ada@example.com"})
    first, again = shop.heard.get(timeout=10), shop.heard.get(timeout=10)
    http.close()

    assert json.loads(first[0])["id"] == json.loads(again[0])["id"]
    event = stripe.Webhook.construct_event(*again, endpoint.secret)
    assert event.type == "customer.created"


def test_a_restart_loses_no_events(tmp_path: Path, fake_time: FakeTime) -> None:
    from saas_sandbox.inprocess import client

    path = str(tmp_path / "sandbox.db")
    down, up = RecordingEndpoint(EndpointResponse(None, "down")), RecordingEndpoint()
    before = create_sandbox(path, post=down, now=fake_time, inline=True)
    api = client(before, KEY)
    api.v1.webhook_endpoints.create({"url": "https://shop.test/", "enabled_events": ["*"]})
    customer = api.v1.customers.create({"email": "ada@example.com"})
    before.extensions["sandbox"].close()

    fake_time.time += 5
    after = create_sandbox(path, post=up, now=fake_time, inline=True)
    object_at_stripe = client(after, KEY).v1.customers.retrieve(customer.id)
    after.extensions["sandbox"].close()

    assert object_at_stripe.email == "ada@example.com"
    assert up.types == ["customer.created"]
