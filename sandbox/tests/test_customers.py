"""Customers and their cards, as in Stripe's documentation."""

import pytest
import stripe

from .conftest import Prices, RecordingEndpoint, plain_metadata


def test_a_customer_is_created_and_found_again(api: stripe.StripeClient) -> None:
    created = api.v1.customers.create(
        {"email": "ada@example.com", "name": "Ada", "metadata": {"person": "1"}}
    )

    customer = api.v1.customers.retrieve(created.id)

    assert created.id.startswith("cus_")
    assert (customer.email, customer.name) == ("ada@example.com", "Ada")
    assert plain_metadata(customer.metadata) == {"person": "1"}
    assert not customer.livemode


def test_metadata_is_merged_and_unset(api: stripe.StripeClient, customer: stripe.Customer) -> None:
    api.v1.customers.update(customer.id, {"metadata": {"a": "1", "b": "2"}})
    merged = api.v1.customers.update(customer.id, {"metadata": {"a": "", "c": "3"}})
    assert plain_metadata(merged.metadata) == {"b": "2", "c": "3"}

    emptied = api.v1.customers.update(customer.id, {"metadata": ""})

    assert plain_metadata(emptied.metadata) == {}


@pytest.mark.parametrize(
    "metadata",
    [{"k" * 41: "v"}, {"k": "v" * 501}, {str(n): "v" for n in range(51)}],
    ids=["long key", "long value", "many keys"],
)
def test_metadata_has_limits(api: stripe.StripeClient, metadata: dict[str, str]) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Metadata"):
        api.v1.customers.create({"metadata": metadata})


def test_a_field_is_unset_by_an_empty_value(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    api.v1.customers.update(customer.id, {"address": {"city": "London", "country": "GB"}})
    assert api.v1.customers.retrieve(customer.id).address is not None

    api.v1.customers.update(customer.id, {"address": ""})

    assert api.v1.customers.retrieve(customer.id).address is None


def test_a_deleted_customer_leaves_a_tombstone_and_no_subscription(
    api: stripe.StripeClient, prices: Prices, endpoint: object, receiver: RecordingEndpoint
) -> None:
    customer = api.v1.customers.create({"email": "ada@example.com"})
    method = api.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    subscription = api.v1.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": prices.pro}],
            "default_payment_method": method.id,
        }
    )

    gone = api.v1.customers.delete(customer.id)

    assert gone.deleted
    assert api.v1.customers.retrieve(customer.id).deleted
    assert api.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert receiver.types[-2:] == ["customer.subscription.deleted", "customer.deleted"]
    assert customer.id not in [c.id for c in api.v1.customers.list().data]
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        api.v1.subscriptions.create({"customer": customer.id, "items": [{"price": prices.pro}]})


def test_customers_are_filtered_by_email(api: stripe.StripeClient) -> None:
    api.v1.customers.create({"email": "ada@example.com"})
    grace = api.v1.customers.create({"email": "grace@example.com"})

    customers = api.v1.customers.list({"email": "grace@example.com"})

    assert [c.id for c in customers.data] == [grace.id]


def test_a_test_card_is_attached_as_a_copy(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    method = api.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})

    assert method.id != "pm_card_visa"
    assert method.card
    assert method.card.last4 == "4242"
    assert [m.id for m in api.v1.payment_methods.list({"customer": customer.id}).data] == [
        method.id
    ]


def test_a_declined_card_cannot_be_attached(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        api.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer.id})

    assert declined.value.code == "card_declined"
    assert declined.value.http_status == 402


def test_a_detached_card_is_no_longer_the_default(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    method = api.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.v1.customers.update(
        customer.id, {"invoice_settings": {"default_payment_method": method.id}}
    )

    api.v1.payment_methods.detach(method.id)

    settings = api.v1.customers.retrieve(customer.id).invoice_settings
    assert settings
    assert settings.default_payment_method is None


def test_a_card_of_another_customer_is_refused(
    api: stripe.StripeClient, customer: stripe.Customer
) -> None:
    other = api.v1.customers.create({})
    method = api.v1.payment_methods.attach("pm_card_visa", {"customer": other.id})

    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        api.v1.customers.update(
            customer.id, {"invoice_settings": {"default_payment_method": method.id}}
        )


@pytest.mark.parametrize("email", ["nobody", "a b@example.com", "a@example.com\nbcc: x@y.z"])
def test_an_invalid_email_is_refused(api: stripe.StripeClient, email: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid email"):
        api.v1.customers.create({"email": email})
