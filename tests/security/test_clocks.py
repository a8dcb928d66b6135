"""Hosts with different clocks: the database's clock counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.gunicorn_server import GunicornServer, running_gunicorn
from tests.harness.visitor import Visitor
from tests.harness.waiting import eventually
from tests.harness.workers import workers

# Python runs this at startup, so the process has another time.
_SHIFT = """\
import datetime, time_machine
there = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds={ahead})
time_machine.travel(there, tick=True).start()
"""

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgres"], indirect=True),
]


@contextmanager
def two_hosts(
    folder: Path, url: str, sandbox: str, ahead: int
) -> Iterator[tuple[GunicornServer, GunicornServer]]:
    """A web host whose clock is ahead, and one with the clock of the database and the workers."""
    env = {"DATABASE_URL": url, "JOBS_URL": url, "SANDBOX_URL": sandbox, "SAAS_ENV": "development"}
    (folder / "one").mkdir()
    (folder / "one" / "sitecustomize.py").write_text(_SHIFT.format(ahead=ahead))
    fast = {"PYTHONPATH": str(folder / "one")}
    (folder / "other").mkdir()
    with running_gunicorn(folder / "one", **env, **fast, WEB_CONCURRENCY="1") as one:
        shared = {**env, "APP_URL": one.url}
        with (
            running_gunicorn(folder / "other", **shared, WEB_CONCURRENCY="1") as other,
            workers(**shared) as crew,
        ):
            crew.start()
            yield one, other


@pytest.mark.parametrize("ahead", [2, 60, -60])
def test_a_wrong_clock_of_a_host_delays_no_email_and_ends_no_session(
    ahead: int, tmp_path: Path, database_url: str, sandbox: str
) -> None:
    with two_hosts(tmp_path, database_url, sandbox, ahead) as (one, other):
        visitor = Visitor(one.url, sandbox)
        visitor.sign_in("ann@example.com")  # with an email that another host sent

        visitor.base = other.url
        assert visitor.visit("/dashboard/settings").path == "/dashboard/settings"
        form = visitor.page.form("/dashboard/settings/name").fields
        visitor.base = one.url
        response = visitor.request("POST", "/dashboard/settings/name", data={**form, "name": "Ann"})
        assert response.status_code == 303, response.text
        assert visitor.request("GET", "/api/user").json()["user"]["name"] == "Ann"
        eventually(lambda: visitor.emails_to("ann@example.com"))
        visitor.close()
