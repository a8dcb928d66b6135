"""A worker that does not run is reported, because without it emails wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask

from saas import jobs
from saas.database import now
from tests.harness.apps import both_databases


@pytest.fixture(autouse=True)
def secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """`flask check` reads the environment again."""
    monkeypatch.setenv("SECRET_KEY", "a-key-of-these-tests-0123456789-abcdefghijk")


def check(app: Flask) -> str:
    result = app.test_cli_runner().invoke(args=["check"])
    return str(result.stderr)


@both_databases
def test_a_silent_worker_degrades_readiness(app: Flask) -> None:
    client = app.test_client()
    with app.app_context():
        jobs.run_periodic_tasks()
    assert client.get("/readyz").json == {"status": "ready"}

    with time_machine.travel(now() + timedelta(minutes=10)):
        response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json is not None
    assert response.json["status"] == "degraded"
    assert response.json["worker"].startswith("silent for ")


def test_check_reports_a_silent_worker(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(JOBS_URL=f"sqlite:///{tmp_path}/jobs.db")
    assert "No worker has run yet. Start one: flask worker" in check(app)

    with app.app_context():
        jobs.run_periodic_tasks()
    assert "worker" not in check(app)

    with time_machine.travel(now() + timedelta(minutes=10)):
        assert "No worker has run for " in check(app)


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@127.0.0.1:1/nothing", "redis://127.0.0.1:1/0"]
)
def test_check_reports_an_unreachable_queue(url: str, make_app: Callable[..., Flask]) -> None:
    assert "JOBS_URL: the queue is unreachable: " in check(make_app(JOBS_URL=url))
