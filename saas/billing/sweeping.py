"""Asking Stripe about one after the other, as sweeps do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from saas import deadlines
from saas.billing import gateway

T = TypeVar("T")
log = logging.getLogger("saas.billing")

_PATIENCE = 60.0  # seconds for each, who may have thousands of subscriptions; a call has 4
_ENOUGH = 3  # questions without an answer, after which Stripe is taken to be away


def one_by_one(items: Iterable[T], work: Callable[[T], object], about: str) -> None:
    """Do `work` for each; whatever is wrong with one, the others have their turn.

    Where Stripe does not answer, the rest waits for the next sweep, so that a worker is soon free
    for the mails again. `about` says in the log what the items are.
    """
    unanswered, why = 0, ""
    for item in items:
        try:
            with deadlines.deadline(_PATIENCE):
                work(item)
        except gateway.Unavailable as error:
            log.warning("not done: %s %s: %s", about, item, gateway.describe(error))
            unanswered += 1
            is_refused = gateway.is_refusal(error)
            why = "Stripe refuses our key" if is_refused else "Stripe does not answer"
        except gateway.StripeError as error:
            log.error("not done: %s %s: %s", about, item, gateway.describe(error))
        except Exception:
            log.exception("not done: %s %s", about, item)
        if unanswered == _ENOUGH:
            log.warning("%s: the rest of a sweep waits for the next", why)
            return
