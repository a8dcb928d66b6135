"""Commands as processes of their own."""

from __future__ import annotations

import subprocess
import sys

from saas.config import ROOT
from tests.harness.apps import own_env


def flask(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "tests.harness.wsgi", *arguments],
        cwd=ROOT, env=own_env(**env), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
