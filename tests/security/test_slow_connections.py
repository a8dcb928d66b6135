"""Slow connections: gunicorn gives each a thread, so it needs a buffering proxy in front."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from tests.harness.gunicorn_server import running_gunicorn

SLOW = 100
BEGINNING = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nemail"


async def forward(port: int, browser: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    """Read the whole request before forwarding it, as nginx does by default."""
    try:
        head = await browser.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(x[15:]) for x in lines if x.startswith(b"content-length:")), 0)
        body = await browser.readexactly(length)
        server, there = await asyncio.open_connection("127.0.0.1", port)
        there.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
        back.write(await server.read())
        there.close()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        back.close()


@contextmanager
def buffering(port: int) -> Iterator[int]:
    """Start a proxy that buffers requests for the server at a port, and yield its own port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(lambda r, w: forward(port, r, w), "127.0.0.1", 0)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def stop(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_slow_connections_do_not_block_others_behind_a_buffering_proxy(
    tmp_path: Path, database_url: str, sandbox: str
) -> None:
    env = {"DATABASE_URL": database_url, "SANDBOX_URL": sandbox}
    with running_gunicorn(tmp_path, **env) as server, ExitStack() as slow:
        direct = int(server.url.rpartition(":")[2])
        port = slow.enter_context(buffering(direct))
        for _ in range(SLOW):
            line = slow.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(BEGINNING)

        started_at = time.monotonic()
        responses = [requests.get(f"http://localhost:{port}/login", timeout=10) for _ in range(5)]

        assert [response.status_code for response in responses] == [200] * 5
        assert time.monotonic() - started_at < 10
