"""A gate in front of the sandbox: requests of a kind are held there, so that a test can be quick.

A worker whose request stands at the gate is in the middle of something; then it can be killed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Gate:
    """Holds the requests to `path`: before the sandbox hears of them, or after it has answered."""

    app: Any
    path: str
    after: bool = False
    let_through: int = 0  # so many pass before the others are held
    is_shut: bool = False
    waiting: list[int] = field(default_factory=list)
    _open: threading.Event = field(default_factory=threading.Event)

    def shut(self) -> None:
        self._open.clear()
        self.waiting.clear()
        self.is_shut = True

    def open(self) -> None:
        self.is_shut = False
        self._open.set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        held = self._is_held(environ["PATH_INFO"])
        if held and not self.after:
            self._hold(environ)
        answer: Iterable[bytes] = self.app(environ, start_response)
        if held and self.after:
            self._hold(environ)
        return answer

    def _is_held(self, path: str) -> bool:
        if not self.is_shut or not path.startswith(self.path):
            return False
        self.let_through -= 1
        return self.let_through < 0

    def _hold(self, environ: dict[str, Any]) -> None:
        self.waiting.append(int(environ["REMOTE_PORT"]))
        self._open.wait(60)
