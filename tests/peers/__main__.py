"""`make check-peers`: what other people's Stripe says, with the versions; see docs/sandbox.md."""

import sys
from datetime import UTC, datetime

from . import trigger


def main() -> int:
    print(f"Other people's Stripe, {datetime.now(UTC):%d %B %Y}")
    cli = trigger.command()
    if cli is None:
        print("The Stripe CLI is not here: put `stripe` on the PATH, or its place in STRIPE_CLI.")
        return 1

    print(f"{trigger.version(cli)}, `stripe trigger` against the sandbox:")
    return 0 if trigger.check(cli) else 1


if __name__ == "__main__":
    sys.exit(main())
