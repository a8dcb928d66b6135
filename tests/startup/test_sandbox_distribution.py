"""The sandbox is its own distribution, which servers do not have."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from saas.config import ROOT
from tests.harness.apps import own_env
from tests.harness.servers import free_port

_PURCHASE = """
import sys, time
import requests, stripe

base = f"http://127.0.0.1:{sys.argv[1]}"
for _ in range(400):
    try:
        requests.get(f"{base}/healthz", timeout=5)
        break
    except requests.ConnectionError:
        time.sleep(0.05)
addresses = {"api": f"{base}/stripe"}
client = stripe.StripeClient("sk_test_0123456789abcdef", base_addresses=addresses).v1
product = client.products.create({"name": "Pro"})
price = client.prices.create({
    "product": product.id, "currency": "usd", "unit_amount": 1500,
    "recurring": {"interval": "month"},
})
session = client.checkout.sessions.create({
    "mode": "subscription", "line_items": [{"price": price.id, "quantity": 1}],
    "success_url": "http://localhost/done",
})
card = {
    "email": "ann@example.com", "number": "4242 4242 4242 4242", "expiry": "12 / 34", "cvc": "123",
    "name": "Ann",
}
paid = requests.post(
    session.url, data=card, headers={"Origin": base}, timeout=30, allow_redirects=False
)
session = client.checkout.sessions.retrieve(session.id)
print(paid.status_code, session.status, client.subscriptions.retrieve(session.subscription).status)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with only the sandbox and the packages of its tests."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    source = folder / "source"  # building leaves files behind
    shutil.copytree(ROOT / "sandbox", source)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", f"{source}[test]"]
    result = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if "No matching distribution" in result.stderr or "ConnectionError" in result.stderr:
        pytest.skip("packages cannot be downloaded here")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def port(environment: Path, tmp_path: Path) -> Iterator[str]:
    number = str(free_port())
    command = [str(environment / "bin" / "saas-sandbox"), "--port", number, "--data", "sandbox.db"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        yield number
        process.terminate()


def run(environment: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin" / "python"), *arguments]
    return subprocess.run(command, cwd=cwd, env=own_env(), capture_output=True, text=True)


def test_the_sandbox_installed_alone_serves_a_purchase(
    environment: Path, port: str, tmp_path: Path
) -> None:
    bought = run(environment, "-c", _PURCHASE, port, cwd=tmp_path)

    assert bought.stdout == "303 complete active\n", bought.stderr
    assert "No module named 'saas'" in run(environment, "-c", "import saas", cwd=tmp_path).stderr


def test_the_sandbox_installed_alone_passes_its_own_tests(environment: Path) -> None:
    files = ["tests/test_catalogue.py", "tests/test_checkout.py", "tests/identity/test_codes.py"]

    result = run(environment, "-m", "pytest", *files, cwd=ROOT / "sandbox")

    assert result.returncode == 0, result.stdout[-2000:]


def test_a_server_installation_has_no_sandbox(tmp_path: Path) -> None:
    listed = (ROOT / "requirements" / "base.txt").read_text("utf-8")
    result = [
        sys.executable,
        "-c",
        "import saas_sandbox",
    ]  # as when installed from a wheel: not on the path

    process = subprocess.run(result, cwd=tmp_path, env=own_env(), capture_output=True, text=True)

    assert "saas-sandbox" not in listed
    assert "No module named 'saas_sandbox'" in process.stderr
