"""What Dockerfile, compose.yaml and Procfile say, read for the tests."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import yaml

from saas.config import ROOT
from tests.harness.production import PRODUCTION

# Settings of a production for the products that we ship: `environment` adds their prices.
SETTINGS = {name: value for name, value in PRODUCTION.items() if "_PRICE_ID" not in name}


@cache
def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, such as ("FROM", "python:3.13-slim AS build")."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line]


def command(instruction: str) -> list[str]:
    """Return the command of CMD or HEALTHCHECK as a list."""
    (value,) = [value for name, value in instructions() if name == instruction]
    parsed: list[str] = json.loads(value[value.index("[") :])
    return parsed


def variables() -> dict[str, str]:
    """Return the variables that the image sets."""
    (value,) = [value for name, value in instructions() if name == "ENV"]
    return dict(re.findall(r'([A-Z_]+)="?([^\s"]*)"?', value))


@cache
def services() -> dict[str, Any]:
    """Return the services of compose.yaml."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    return parsed


def procfile() -> dict[str, str]:
    """Return the commands of the Procfile by name."""
    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line)
