"""`bin/setup` with the user's pip settings: it installs packages into .venv or explains why not."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.startup.checkout import copy_project, plain_env


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "checkout")


def need_wheel(checkout: Path, name: str = "tiny", code: str = "") -> Path:
    """Build a wheel and requirements that pin it, and return the wheel's folder."""
    folder = checkout.parent / "wheels"
    folder.mkdir()
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = checkout / "requirements" / "base.txt"
    lock.write_text(f"{name}==1.0 \\\n    --hash=sha256:{sha256}\n")
    return folder


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def setup(checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-E", str(checkout / "bin" / "setup"), "base"],
        capture_output=True, text=True, timeout=120, env=plain_env(checkout.parent, **env),
    )  # fmt: skip


def _imports(checkout: Path, name: str) -> bool:
    command = [str(checkout / ".venv" / "bin" / "python"), "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True).returncode == 0


_BY_VARIABLES = {
    "PIP_USER": "1", "PIP_REQUIRE_VIRTUALENV": "1", "PIP_TARGET": "{elsewhere}",
    "PIP_PREFIX": "{elsewhere}", "PIP_ROOT": "{elsewhere}", "PIP_DRY_RUN": "1",
    "PIP_NO_BINARY": ":all:", "PIP_PLATFORM": "win32", "PIP_ONLY_BINARY": ":none:",
    "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "{wheels}", "PYTHONUSERBASE": "{elsewhere}",
    "PYTHONHOME": "/nonexistent", "PYTHONPATH": "/nonexistent", "VIRTUAL_ENV": "/nonexistent",
}  # fmt: skip
_BY_FILE = """
[global]
no-index = true
find-links = {wheels}
[install]
user = true
target = {elsewhere}
"""


@pytest.mark.parametrize(
    ("variables", "file"), [(_BY_VARIABLES, ""), ({"PIP_USER": "1"}, _BY_FILE)]
)
def test_packages_are_installed_into_the_environment_with_any_pip_settings(
    variables: dict[str, str], file: str, checkout: Path
) -> None:
    places = {"wheels": need_wheel(checkout), "elsewhere": checkout.parent / "elsewhere"}
    (checkout.parent / ".config" / "pip").mkdir(parents=True)
    (checkout.parent / ".config" / "pip" / "pip.conf").write_text(file.format(**places))

    env = {name: value.format(**places) for name, value in variables.items()}
    result = setup(checkout, **env)

    assert result.returncode == 0, result.stderr
    assert _imports(checkout, "tiny")
    assert not places["elsewhere"].exists()


def test_an_environment_whose_packages_cannot_be_imported_is_not_ready(checkout: Path) -> None:
    wheels = need_wheel(checkout, "flask", "raise ImportError('made for another machine')")

    result = setup(checkout, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheels))

    assert result.returncode == 1
    assert "do not work: ImportError: made for another machine" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (checkout / ".venv" / "ready").exists()


def test_a_configuration_that_pip_cannot_read_is_reported(checkout: Path) -> None:
    need_wheel(checkout)
    (checkout / "pip.conf").write_text("no section\n")

    result = setup(checkout, PIP_CONFIG_FILE=str(checkout / "pip.conf"))

    assert result.returncode == 1
    assert "pip's configuration cannot be read." in result.stderr
    assert "Traceback" not in result.stderr
