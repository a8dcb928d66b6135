"""Metrics and request logs of the real server and the real worker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from saas.config import ROOT
from tests.harness.apps import migrate
from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.servers import free_port
from tests.harness.waiting import eventually


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GunicornServer]:
    url = f"sqlite:///{tmp_path}/app.db"
    migrate(url)
    with running_gunicorn(
        tmp_path, DATABASE_URL=url, METRICS_PORT=str(free_port()), SAAS_ENV="test"
    ) as running:
        yield running


def samples(server: GunicornServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the values of a scrape by name and labels."""
    port = server.environment["METRICS_PORT"]
    response = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def requests_counted(server: GunicornServer, **labels: str) -> float:
    key = ("saas_request_duration_seconds_count", frozenset(labels.items()))
    return samples(server).get(key, 0)


def test_requests_of_all_processes_are_counted_by_route_and_status(server: GunicornServer) -> None:
    for _ in range(40):  # two processes share them
        requests.get(f"{server.url}/pricing?plan=pro", timeout=10)
    requests.get(f"{server.url}/nowhere/{'x' * 500}", timeout=10)

    eventually(lambda: requests_counted(server, route="/pricing", method="GET", status="200") == 40)
    assert requests_counted(server, route="unknown", method="GET", status="404") == 1


def test_the_scrape_shows_what_waits_in_the_database(server: GunicornServer) -> None:
    values = samples(server)

    assert values["saas_outbox_pending", frozenset()] == 0
    assert values["saas_events_unprocessed", frozenset()] == 0
    assert values["saas_queue_up", frozenset()] == 1
    assert values["saas_database_connections_in_use", frozenset()] == 0


def test_an_unsigned_webhook_is_counted(server: GunicornServer) -> None:
    requests.post(f"{server.url}/api/webhooks/stripe", data=b"{}", timeout=10)

    labels = frozenset({("type", "unknown"), ("outcome", "bad signature")})
    assert samples(server)["saas_webhook_events_total", labels] == 1


def log_lines(server: GunicornServer) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.splitlines()]


def test_each_request_is_one_line_of_json_without_secrets(server: GunicornServer) -> None:
    requests.get(f"{server.url}/auth/link/secret-token?next=/dashboard", timeout=10)
    requests.get(f"{server.url}/static/css/app.css", timeout=10)
    named = {"X-Request-Id": "abcdefgh"}
    requests.get(f"{server.url}/nobody@example.com", headers=named, timeout=10)

    eventually(lambda: "abcdefgh" in server.log)
    by_route = {line["route"]: line for line in log_lines(server) if "route" in line}
    assert {"/auth/link/<token>", "static", "unknown"} <= by_route.keys()
    assert by_route["unknown"]["request_id"] == "abcdefgh"
    assert by_route["unknown"]["status"] == 404
    assert by_route["static"]["bytes"] > 1000
    assert by_route["static"]["milliseconds"] >= 0
    assert "secret-token" not in server.log
    assert "nobody@" not in server.log
    assert "127.0.0.1" not in " ".join(str(line["message"]) for line in by_route.values())


def test_successful_health_checks_are_not_logged(server: GunicornServer) -> None:
    requests.get(f"{server.url}/healthz", timeout=10)
    requests.get(f"{server.url}/pricing", timeout=10)

    eventually(lambda: "/pricing" in server.log)
    assert "/healthz" not in server.log


PROMETHEUS = ROOT / "deploy" / "prometheus"


def test_alerts_and_dashboard_name_only_metrics_that_are_served(server: GunicornServer) -> None:
    counted = {family.name for family in REGISTRY.collect()}
    port = server.environment["METRICS_PORT"]
    scrape = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    served = counted | set(re.findall(r"^# TYPE (saas_\w+)", scrape, re.M))

    named = set()
    for file in ("alerts.yml", "grafana.json"):
        named |= set(re.findall(r"saas_\w+", (PROMETHEUS / file).read_text()))

    assert {re.sub("_(count|bucket|total)$", "", name) for name in named} <= served


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_each_alert_fires_for_its_fault_and_none_without(tmp_path: Path) -> None:
    promtool = str(shutil.which("promtool"))
    panels = json.loads((PROMETHEUS / "grafana.json").read_text())["panels"]
    rules = [
        {"record": "panel", "expr": target["expr"]}
        for panel in panels
        for target in panel["targets"]
    ]
    dashboard = tmp_path / "dashboard.yml"  # JSON is YAML
    dashboard.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    for command in (
        ("check", "config", str(PROMETHEUS / "prometheus.yml")),
        ("test", "rules", str(PROMETHEUS / "alerts_test.yml")),
        ("check", "rules", "--lint=none", str(dashboard)),
    ):
        ran = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
