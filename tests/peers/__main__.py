"""`make check-peers`: what other people's Stripe says, with the versions; see sandbox/README.md."""

import logging
import sys
from datetime import UTC, datetime

import requests

from . import mock, trigger


def main() -> int:
    """Run what is there; 1 when a peer is missing or something fails that should work."""
    logging.disable(logging.WARNING)  # what is refused is told below, in a line each
    print(f"Other people's Stripe, {datetime.now(UTC):%d %B %Y}")
    return 0 if all([_trigger(), _mock()]) else 1


def _trigger() -> bool:
    cli = trigger.command()
    if cli is None:
        print("The Stripe CLI is not here: put `stripe` on the PATH, or its place in STRIPE_CLI.")
        return False
    print(f"{trigger.version(cli)}, `stripe trigger` against the sandbox:")
    return trigger.check(cli)


def _mock() -> bool:
    url = mock.address()
    if url is None:
        print("No stripe-mock: start one, and put its address in STRIPE_MOCK.")
        return False
    try:
        version = mock.version(url)
    except requests.RequestException:
        print(f"No stripe-mock answers at STRIPE_MOCK={url}.")
        return False
    print(f"The application against {version}:")
    return mock.check(url)


if __name__ == "__main__":
    sys.exit(main())
