"""Too many connections, and too many requests."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection

from tests.stack.stack import Stack, tls_context

REQUESTS, CONNECTIONS, SLOW = 50_000, 8, 300


@contextmanager
def slow_connections(stack: Stack) -> Iterator[None]:
    """Hold connections that send a byte of a request every few seconds."""
    done = threading.Event()
    context = tls_context(stack)
    sockets = []
    for number in range(SLOW):
        raw = socket.create_connection(
            ("127.0.0.1", stack.port["nginx"]), source_address=(f"127.0.9.{number % 250 + 1}", 0)
        )
        slow = context.wrap_socket(raw, server_hostname="localhost")
        slow.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n")
        sockets.append(slow)

    def trickle() -> None:
        while not done.wait(2):
            for slow in sockets:
                try:
                    slow.sendall(b"x")
                except (OSError, ssl.SSLError):
                    continue

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        for slow in sockets:
            slow.close()


def many_requests(stack: Stack) -> None:
    """Send many requests for the home page. Raises `AssertionError` if one fails."""
    context = tls_context(stack)
    failed: list[int] = []

    def send() -> None:
        connection = HTTPSConnection("localhost", stack.port["nginx"], context=context, timeout=60)
        for _ in range(REQUESTS // CONNECTIONS):
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failed.append(response.status)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, f"{len(failed)} of {REQUESTS} requests failed: {sorted(set(failed))}"
