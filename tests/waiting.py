"""Waiting for servers that tests start."""

from __future__ import annotations

import socket


def listens(port: int) -> bool:
    """Whether something takes connections at a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
