"""WSGI applications as real servers on loopback, and ports for them."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

_used_ports: set[int] = set()


class QuietRequestHandler(WSGIRequestHandler):
    """A request handler without a log, so that the output of a failing test stays readable."""

    def log(self, type: str, message: str, *args: object) -> None:
        return

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Close the response: Werkzeug may leave a file open when a browser disconnects."""
        close = getattr((environ or {}).get("tests.response"), "close", None)
        if close:
            close()


@contextmanager
def serving(
    app: Any, port: int = 0, request_handler: type[WSGIRequestHandler] = QuietRequestHandler
) -> Iterator[str]:
    """Serve a WSGI application within the block, and yield its URL."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        environ["tests.response"] = response = app(environ, start_response)
        return response

    server = make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=request_handler
    )
    server.daemon_threads = False  # type: ignore[attr-defined]  # wait for pending responses
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port(neighbours: int = 1) -> int:
    """Return a free port; with `neighbours`, the first of so many free ports in a row.

    Ports are below the range for outgoing connections (32768 on Linux), since any other test could
    take one of those before we listen on it. No port is returned twice, because the mailbox is
    shared and tests are distinguished by the port in their links.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        if not _used_ports.isdisjoint(range(port, port + neighbours)):
            continue
        with ExitStack() as stack:
            try:
                for number in range(port, port + neighbours):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            _used_ports.update(range(port, port + neighbours))
            return port


def is_listening(port: int) -> bool:
    """Return whether a server accepts connections at a port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
