"""What systemd does with the units of deploy/debian, for a root without systemd.

    python3 units.py serve      hold the socket, and start the services when asked to
    python3 units.py restart    ask for it; returns when they have started, as systemctl does

It needs only Python, since it runs in the root that tests/deploy/debian.sh makes.
"""

import configparser
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
CONTROL, NOTIFY = "/run/units.sock", "/run/units-notify.sock"
LISTEN_FD = 3
# The variables of socket activation name the process that may use them.
ACTIVATED = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
running = {}


def serve():
    hold_socket()
    notify, control = bound(NOTIFY, socket.SOCK_DGRAM), bound(CONTROL, socket.SOCK_STREAM)
    os.chmod(NOTIFY, 0o666)  # noqa: S103 - the services run as another user
    control.listen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            client, _ = control.accept()
            with client:
                started = [restart(name, notify) for name in ("saas-web", "saas-worker")]
                client.sendall(b"ok" if all(started) else b"failed")
    finally:
        for name in list(running):
            stop(name)


def hold_socket():
    """Listen as saas-web.socket says, under the number that the protocol gives the first one."""
    unit = read("saas-web.socket")["Socket"]
    host, _, port = unit["ListenStream"].rpartition(":")
    listener = socket.create_server((host, int(port)), backlog=int(unit["Backlog"]))
    os.dup2(listener.detach(), LISTEN_FD)


def bound(path, kind):
    Path(path).unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, kind)
    made.bind(path)
    return made


def restart(name, notify):
    stop(name)
    service = read(f"{name}.service")["Service"]
    command = shlex.split(service["ExecStart"])
    has_socket = (UNITS / f"{name}.socket").exists()
    running[name] = subprocess.Popen(
        ["sh", "-c", ACTIVATED, "sh", *command] if has_socket else command,
        cwd=service["WorkingDirectory"], env=environment(service), stdin=subprocess.DEVNULL,
        user=service["User"], group=service["Group"], extra_groups=[], umask=0o077,
        pass_fds=[LISTEN_FD] if has_socket else [],
    )  # fmt: skip
    return service["Type"] != "notify" or is_ready(running[name], notify)


def environment(service):
    lines = Path(service["EnvironmentFile"]).read_text().splitlines()
    settings = [line for line in lines if line and not line.startswith("#")]
    pairs = (item.split("=", 1) for item in [*settings, *shlex.split(service["Environment"])])
    return {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": NOTIFY, **dict(pairs)}


def is_ready(process, notify):
    """Return whether the process says so before it ends."""
    give_up = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < give_up:
        if select.select([notify], [], [], 0.2)[0] and b"READY=1" in notify.recv(4096):
            return True
    return False


def stop(name):
    process = running.pop(name, None)
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait(timeout=int(read(f"{name}.service")["Service"]["TimeoutStopSec"]))


def read(name):
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read(UNITS / name)
    return unit


def ask():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(CONTROL)
        return client.recv(16) == b"ok"


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    sys.exit(0 if ask() else 1)
