"""Measure a comparison of all users with Stripe. Run: python bench/verify.py [HOW_MANY]

This creates a sandbox with that many subscriptions (100,000) and a database with a user for each.
It runs `flask billing verify` and `sync --all` as processes, and measures wall time, CPU time, peak
memory and calls.
"""

import resource
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from flask_migrate import upgrade  # noqa: E402 - the project is found by the line above
from sqlalchemy import select, update  # noqa: E402

from saas import create_app, database, sandbox_process  # noqa: E402
from saas.auth.models import User  # noqa: E402
from saas.billing.operator import provisioning  # noqa: E402
from saas.database import db  # noqa: E402
from tests.harness import bulk_subscribers  # noqa: E402
from tests.harness.apps import PRODUCT, close, own_env, settings  # noqa: E402
from tests.harness.servers import free_port  # noqa: E402


def main(many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        data = ["--port", str(port), "--data", f"{folder}/sandbox.db"]
        sandbox = subprocess.Popen([sys.executable, "sandbox", *data], cwd=ROOT)
        try:
            measure(many, f"http://localhost:{port}", f"sqlite:///{folder}/app.db")
        finally:
            sandbox.terminate()
            sandbox.wait()


def measure(many: int, sandbox: str, database_url: str) -> None:
    env = {
        "DATABASE_URL": database_url,
        "SANDBOX_URL": sandbox,
        "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
    }
    env |= prepared(many, env)
    print(f"{many:,} subscriptions in Stripe, and a person for each", flush=True)
    billing(env, "verify")
    billing(env, "verify", "--per-second", "20")
    billing(env, "sync", "--all")
    some_drift(env, share=100)
    billing(env, "sync", "--all")
    billing(env, "verify")


def prepared(many: int, env: dict[str, str]) -> dict[str, str]:
    """Create catalogue, subscriptions and users; return the price ids."""
    wait_for(env["SANDBOX_URL"])
    app = create_app(settings(**env), PRODUCT)
    with app.app_context():
        upgrade(revision="heads")
        variables = provisioning.set_up(prefix="SANDBOX_")
    price = variables["SANDBOX_STRIPE_PRO_MONTHLY_PRICE_ID"]
    bulk_subscribers.fill(env["SANDBOX_URL"], env["SANDBOX_STRIPE_API_KEY"], price, many)
    close(app)
    app = create_app(settings(**env, **variables), PRODUCT)
    bulk_subscribers.copy_into_columns(app)
    close(app)
    return variables


def wait_for(url: str) -> None:
    while not sandbox_process.is_up(url):
        time.sleep(0.05)


def some_drift(env: dict[str, str], share: int) -> None:
    """Change columns of a fraction of the users, as if events had been lost."""
    app = create_app(settings(**env), PRODUCT)
    with app.app_context(), database.write_transaction():
        drifting = db.session.scalars(select(User.id).order_by(User.id)).all()[::share]
        for user_id in drifting:
            wrong = {"stripe_subscription_status": "canceled"}
            database.execute(update(User).where(User.id == user_id).values(wrong))
    close(app)
    print(f"{len(drifting):,} of them have drifted", flush=True)


def billing(env: dict[str, str], *arguments: str) -> None:
    command = ["-m", "flask", "--app", "wsgi", "billing", *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, env=own_env(**env)
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    summary = process.stderr.strip().splitlines()[-1:]
    print(f"  {' '.join(arguments)}: {' '.join(summary)}")
    print(f"  {wall:.0f} s, {cpu:.0f} s CPU, at most {after.ru_maxrss / 1024:.0f} MB", flush=True)
    if process.returncode:
        sys.exit(process.stdout[:1000])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
