"""In development, worker and sandbox reload changed code as the web process does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.servers import free_port
from tests.harness.waiting import eventually
from tests.startup.checkout import READY, StartProcess, copy_project, plain_env


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ("product/catalogue.py", "is ready."),
        ("sandbox/saas_sandbox/home.py", "Sandbox running at"),
    ],
)
def test_a_changed_file_restarts_its_process(changed: str, sentence: str, tmp_path: Path) -> None:
    checkout = copy_project(tmp_path / "checkout")
    file = checkout / changed
    good = file.read_text("utf-8")
    start = StartProcess(checkout, plain_env(tmp_path, PORT=str(free_port(2))))
    start.wait_for(READY)
    eventually(lambda: start.output.count(sentence) == 1, seconds=30)

    file.write_text(good + "\n")
    eventually(lambda: start.output.count(sentence) == 2, seconds=60)
    file.write_text("this is no Python")
    eventually(lambda: "restarts after the next change" in start.output, seconds=60)
    file.write_text(good)
    eventually(lambda: start.output.count(sentence) == 3, seconds=60)

    assert start.end() in (0, 130)
