"""`make check-peers`: compare with other implementations of Stripe; see sandbox/README.md."""

import logging
import sys
from datetime import UTC, datetime

import requests

from tests.peers import stripe_cli, stripe_mock


def main() -> int:
    """Run the available peers; return 1 if one is missing or fails unexpectedly."""
    logging.disable(logging.WARNING)  # refusals are printed below, in a line each
    print(f"Other people's Stripe, {datetime.now(UTC):%d %B %Y}")
    return 0 if all([_trigger(), _mock()]) else 1


def _trigger() -> bool:
    cli = stripe_cli.command()
    if cli is None:
        print("The Stripe CLI is not here: put `stripe` on the PATH, or its place in STRIPE_CLI.")
        return False
    print(f"{stripe_cli.version(cli)}, `stripe trigger` against the sandbox:")
    return stripe_cli.check(cli)


def _mock() -> bool:
    url = stripe_mock.base_url()
    if url is None:
        print("No stripe-mock: start one, and put its URL in STRIPE_MOCK.")
        return False
    try:
        version = stripe_mock.version(url)
    except requests.RequestException:
        print(f"No stripe-mock answers at STRIPE_MOCK={url}.")
        return False
    print(f"The application against {version}:")
    return stripe_mock.check(url)


if __name__ == "__main__":
    sys.exit(main())
