"""Stripe's test cards, by number.

https://docs.stripe.com/testing – numbers for forms, `pm_…` names for code.
"""

from dataclasses import dataclass
from typing import Any, Literal

from saas_sandbox.stripe.engine.errors import StripeError

Authentication = Literal["never", "unless_set_up", "always"]


@dataclass(frozen=True)
class Card:
    number: str
    names: tuple[str, ...]
    brand: str = "visa"
    attach_fails: str | None = None
    charge_fails: str | None = None
    authentication: Authentication = "never"
    disputed: bool = False
    refund_fails: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]


@dataclass(frozen=True)
class Decline:
    """The reason why a bank declined. `code` is Stripe's, `decline_code` is the bank's."""

    code: str
    decline_code: str | None
    message: str

    def error(self, *, recorded: bool = False, **more: Any) -> StripeError:
        if self.decline_code:
            more["decline_code"] = self.decline_code
        return StripeError(
            self.message, status=402, type="card_error", code=self.code, recorded=recorded, **more
        )


DECLINES = {
    "generic_decline": Decline("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": Decline(
        "card_declined", "insufficient_funds", "Your card has insufficient funds."
    ),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined."),
    "expired_card": Decline("expired_card", None, "Your card has expired."),
    "incorrect_cvc": Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
    "processing_error": Decline(
        "processing_error",
        None,
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": Decline(
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}

CARDS = [
    Card("4242424242424242", ("pm_card_visa",)),
    Card("4000056655665556", ("pm_card_visa_debit",)),
    Card("5555555555554444", ("pm_card_mastercard",), "mastercard"),
    Card("378282246310005", ("pm_card_amex",), "amex"),
    Card("6011111111111117", ("pm_card_discover",), "discover"),
    Card(
        "4000000000000002",
        ("pm_card_chargeDeclined", "pm_card_visa_chargeDeclined"),
        attach_fails="generic_decline",
        charge_fails="generic_decline",
    ),
    Card(
        "4000000000009995",
        ("pm_card_chargeDeclinedInsufficientFunds", "pm_card_visa_chargeDeclinedInsufficientFunds"),
        attach_fails="insufficient_funds",
        charge_fails="insufficient_funds",
    ),
    Card(
        "4000000000009987",
        ("pm_card_visa_chargeDeclinedLostCard",),
        attach_fails="lost_card",
        charge_fails="lost_card",
    ),
    Card(
        "4000000000009979",
        ("pm_card_visa_chargeDeclinedStolenCard",),
        attach_fails="stolen_card",
        charge_fails="stolen_card",
    ),
    Card(
        "4000000000000069",
        ("pm_card_chargeDeclinedExpiredCard",),
        attach_fails="expired_card",
        charge_fails="expired_card",
    ),
    Card(
        "4000000000000127",
        ("pm_card_chargeDeclinedIncorrectCvc",),
        attach_fails="incorrect_cvc",
        charge_fails="incorrect_cvc",
    ),
    Card(
        "4000000000000119",
        ("pm_card_chargeDeclinedProcessingError",),
        attach_fails="processing_error",
        charge_fails="processing_error",
    ),
    # "Attaching this card to a Customer object succeeds, but attempts to charge the customer fail."
    Card("4000000000000341", ("pm_card_chargeCustomerFail",), charge_fails="generic_decline"),
    # "This card requires authentication for off-session payments unless you set it up for future
    # payments. After you set it up, off-session payments no longer require authentication."
    Card(
        "4000002500003155",
        ("pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required"),
        authentication="unless_set_up",
    ),
    # "This card requires authentication on all transactions, regardless of how the card is set up."
    Card("4000002760003184", ("pm_card_authenticationRequired",), authentication="always"),
    # "With default account settings, charge succeeds, only to be disputed as fraudulent."
    Card("4000000000000259", ("pm_card_createDispute",), disputed=True),
    # "The charge succeeds. If you initiate a refund, its status begins as succeeded. Some time
    # later, its status transitions to failed and sends a refund.failed webhook event."
    Card("4000000000005126", ("pm_card_refundFail",), refund_fails=True),
    # "This card requires authentication for one-time payments. All payments are declined with an
    # insufficient_funds failure code even after being successfully authenticated or set up."
    Card(
        "4000008260003178",
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",),
        charge_fails="insufficient_funds",
        authentication="unless_set_up",
    ),
]

CARDS_BY_NUMBER = {card.number: card for card in CARDS}
CARDS_BY_NAME = {name: card for card in CARDS for name in card.names}


@dataclass(frozen=True)
class BankAccount:
    """A delayed payment method, confirmed days later. https://docs.stripe.com/payments/ach-debit"""

    account: str
    names: tuple[str, ...]
    fails: str | None = None

    @property
    def last4(self) -> str:
        return self.account[-4:]


BANKS = [
    BankAccount("000123456789", ("pm_usBankAccount", "pm_usBankAccount_success")),
    BankAccount("000111111116", ("pm_usBankAccount_accountClosed",), fails="account_closed"),
    BankAccount(
        "000222222227", ("pm_usBankAccount_insufficientFunds",), fails="insufficient_funds"
    ),
]
BANKS_BY_NUMBER = {bank.account: bank for bank in BANKS}
BANKS_BY_NAME = {name: bank for bank in BANKS for name in bank.names}
