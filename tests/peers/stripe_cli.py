"""The official CLI against the sandbox: `stripe trigger` for each event that we handle."""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from saas_sandbox import create_sandbox
from saas_sandbox.server import bind_server

from saas.billing.events import HANDLED_TYPES

KEY = "sk_test_0123456789abcdefpeers"
WAIT = 120

# Triggers that cannot work, and why. All others must work.
UNPLAYED = {
    "charge.dispute.created": "sends `payment_method_types`, which our version of the API has not",
    "charge.dispute.closed": "sends `payment_method_types`, which our version of the API has not",
    "charge.refunded": "sends `payment_method_types`, which our version of the API has not",
    "refund.updated": "the CLI has no fixture for it",
    "refund.failed": "the CLI has no fixture for it",
    "checkout.session.completed": "confirms the page with a URL that Stripe does not document",
    "checkout.session.async_payment_succeeded": "the same, with a SEPA debit",
    "checkout.session.async_payment_failed": "the same, with a SEPA debit",
    "customer.discount.created": "sends `coupon` for a customer, which our version has not",
    "customer.discount.updated": "sends `coupon` for a customer, which our version has not",
    "customer.discount.deleted": "sends `coupon` for a customer, which our version has not",
    "customer.subscription.resumed": "the CLI has no fixture for it",
    "customer.subscription.pending_update_applied": "the CLI has no fixture for it",
    "customer.subscription.pending_update_expired": "the CLI has no fixture for it",
    "invoice.paid": "makes an invoice of its own, without a subscription",
    "invoice.payment_failed": "makes an invoice of its own, without a subscription",
    "invoice.payment_action_required": "makes an invoice of its own, without a subscription",
    "invoice.upcoming": "the CLI has no fixture for it",
    "invoice.voided": "makes an invoice of its own, without a subscription",
    "invoice.marked_uncollectible": "makes an invoice of its own, without a subscription",
    "invoiceitem.created": "makes an item on no invoice yet, which the sandbox does not play",
    "invoiceitem.deleted": "makes an item on no invoice yet, which the sandbox does not play",
}


def command() -> str | None:
    """Return the CLI: STRIPE_CLI, or `stripe` on the PATH."""
    return shutil.which(os.environ.get("STRIPE_CLI", "stripe"))


def version(cli: str) -> str:
    result = subprocess.run(  # noqa: S603 the configured tool
        [cli, "version"], capture_output=True, text=True, timeout=WAIT, check=True
    )
    return result.stdout.splitlines()[0]


def check(cli: str) -> bool:
    """Trigger all events, print the results, and return whether they are as expected."""
    with _sandbox() as url:
        results = [_line(cli, url, event) for event in HANDLED_TYPES]
    for _, line in results:
        print(line)
    return all(good for good, _ in results)


def _line(cli: str, url: str, event: str) -> tuple[bool, str]:
    complaint = _trigger(cli, url, event) or _lacks(url, event)
    expected = UNPLAYED.get(event)
    if complaint is None:
        return expected is None, f"  works     {event}" + (
            " (listed as unplayed)" if expected else ""
        )
    if expected:
        return True, f"  unplayed  {event}: {expected}"
    return False, f"  FAILS     {event}: {complaint}"


def _trigger(cli: str, url: str, event: str) -> str | None:
    """Return the error of the CLI, if any."""
    with tempfile.TemporaryDirectory() as home:
        result = subprocess.run(  # noqa: S603 the configured tool
            [cli, "trigger", event, "--api-base", url, "--api-key", KEY],
            env={**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=WAIT,
        )
    return (
        None if result.returncode == 0 else " ".join((result.stdout + result.stderr).split())[-300:]
    )


def _lacks(url: str, event: str) -> str | None:
    """Return an error if the sandbox did not send the event: the trigger then failed."""
    entries = requests.get(
        f"{url}/v1/events", params={"type": event}, auth=(KEY, ""), timeout=WAIT
    ).json()["data"]
    return None if entries else "no such event was told"


@contextmanager
def _sandbox() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        app = create_sandbox(str(Path(folder) / "sandbox.db"))
        server = bind_server(app, 0)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            app.extensions["sandbox"].close()
