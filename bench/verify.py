"""What it costs to compare everybody with Stripe. Run: python bench/verify.py [HOW_MANY]

A sandbox with so many subscriptions (100,000), a database with a person for each, and `flask
billing verify` as a process of its own: wall time, CPU time, peak memory, calls.
"""

import os
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

from saas import create_app, outside  # noqa: E402
from saas.billing import setup  # noqa: E402
from tests.billing import crowd  # noqa: E402
from tests.conftest import SECRET, close, free_port, settings  # noqa: E402


def main(many: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        data = ["--port", str(port), "--data", f"{folder}/sandbox.db"]
        sandbox = subprocess.Popen([sys.executable, "-m", "saas.sandbox", *data], cwd=ROOT)
        try:
            measure(many, f"http://localhost:{port}", f"sqlite:///{folder}/app.db")
        finally:
            sandbox.terminate()
            sandbox.wait()


def measure(many: int, sandbox: str, database: str) -> None:
    env = {
        "DATABASE_URL": database,
        "SANDBOX_URL": sandbox,
        "SANDBOX_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
    }
    env |= prepared(many, env)
    print(f"{many:,} subscriptions at Stripe, and a person for each", flush=True)
    verify(env, "90")
    verify(env, "20")


def prepared(many: int, env: dict[str, str]) -> dict[str, str]:
    """The catalogue at the sandbox, the crowd there and in the database; the price ids."""
    wait_for(env["SANDBOX_URL"])
    app = create_app(settings(**env))
    with app.app_context():
        upgrade()
        variables = setup.set_up(prefix="SANDBOX_")
    price = variables["SANDBOX_STRIPE_PRO_MONTHLY_PRICE_ID"]
    crowd.fill(env["SANDBOX_URL"], env["SANDBOX_STRIPE_API_KEY"], price, many)
    close(app)
    app = create_app(settings(**env, **variables))
    crowd.copy_into_columns(app)
    close(app)
    return variables


def wait_for(url: str) -> None:
    while not outside.is_up(url):
        time.sleep(0.05)


def verify(env: dict[str, str], per_second: str) -> None:
    command = ["-m", "flask", "--app", "wsgi", "billing", "verify", "--per-second", per_second]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "SECRET_KEY": SECRET, **env},
    )  # fmt: skip
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  at most {per_second} calls a second: {done.stderr.strip()}")
    print(f"  {wall:.0f} s, {cpu:.0f} s CPU, at most {after.ru_maxrss / 1024:.0f} MB", flush=True)
    if done.returncode:
        sys.exit(done.stdout[:1000])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
