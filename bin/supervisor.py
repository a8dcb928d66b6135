"""Run several processes together: when one of them or this process ends, all end.

We do not use honcho, because it needs /dev/shm, which some containers lack, and because its
processes keep running when the terminal is closed or honcho is killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts commands, each in its own process group, and prints their output."""

    def __init__(self, env: Mapping[str, str], lock: int) -> None:
        self.env = env
        self.lock = lock  # inherited by every process, so that a later run detects them
        self.processes: list[subprocess.Popen[bytes]] = []
        self.lock_of_processes = threading.Lock()
        self.is_ending = False
        self.replaced: set[int] = set()  # processes that a reload has ended
        self.reloaded: set[int] = set()  # processes that a reload has started
        self.ended: queue.SimpleQueue[int] = queue.SimpleQueue()  # exit codes

    def run(self, commands: Mapping[str, list[str]], watched: Mapping[str, Watch]) -> int:
        """Run the commands until one ends or a signal arrives; return the exit code.

        Watched commands restart when a file in their folders changes. One that fails to restart,
        because of a syntax error for example, waits for the next change.
        """
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._stop)
        guard = self._start_guard()
        width = max(map(len, commands))
        for name, command in commands.items():
            process = self._start(name.ljust(width), command, guard)
            if name in watched:
                again = functools.partial(
                    self._start, name.ljust(width), command, guard, is_reload=True
                )
                reload = (watched[name], process, again, guard)
                threading.Thread(target=self._reload, args=reload, daemon=True).start()
        code = self.ended.get()
        with self.lock_of_processes:  # from now on a reload starts nothing
            self.is_ending = True
        end_groups([process.pid for process in self.processes])
        for process in self.processes:
            process.wait()
        return code

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.ended.put(128 + number)

    def _start_guard(self) -> int:
        """Start a process that ends the others if this one is killed; return its pipe."""
        reader, writer = os.pipe()
        # The pipe closes when this process ends, however it ends.
        subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reader)
        return writer

    def _reload(
        self,
        watch: Watch,
        process: subprocess.Popen[bytes],
        again: Callable[[], subprocess.Popen[bytes]],
        guard: int,
    ) -> None:
        while True:
            watch.wait()
            self.replaced.add(process.pid)
            if process.poll() is None:
                end_groups([process.pid])
            process.wait()
            with self.lock_of_processes:
                if self.is_ending:
                    return
                self.processes.remove(process)
                os.write(guard, f"-{process.pid}\n".encode())
                process = again()

    def _start(
        self, name: str, command: list[str], guard: int, *, is_reload: bool = False
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env=dict(self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(self.lock,),
        )
        self.processes.append(process)
        if is_reload:
            self.reloaded.add(process.pid)
        os.write(guard, f"{process.pid}\n".encode())
        os.write(self.lock, f" {process.pid}".encode())
        threading.Thread(target=self._relay, args=(name, process), daemon=True).start()
        return process

    def _relay(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Print the output of a process, then report its end."""
        try:
            for line in process.stdout or ():
                print(f"{name} | {line.decode(errors='replace').rstrip()}", flush=True)
        except OSError:  # nothing reads our output any more: a closed terminal, `| head`
            self.ended.put(1)
        code = process.wait()
        if process.pid in self.reloaded - self.replaced:
            print(f"{name} | Stopped. It restarts after the next change.", flush=True)
        elif process.pid not in self.replaced:
            self.ended.put(code if code >= 0 else 128 - code)


class Watch:
    """Watches the Python and TOML files of some folders, by checking them every second."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        self.seen = self._times()

    def wait(self) -> None:
        """Wait until a file was changed, added or removed."""
        while (now := self._times()) == self.seen:
            time.sleep(1)
        self.seen = now

    def _times(self) -> dict[str, float]:
        times = {}
        for file in (file for folder in self.folders for file in folder.rglob("*")):
            if file.suffix not in (".py", ".toml"):
                continue
            with contextlib.suppress(OSError):  # it was just removed
                times[str(file)] = file.stat().st_mtime
        return times


def end_groups(pids: list[int]) -> None:
    """Stop process groups: first with SIGTERM, then with SIGKILL."""
    _signal_all(pids, signal.SIGTERM)
    give_up = time.monotonic() + _GRACE
    while time.monotonic() < give_up and any(_lives(pid) for pid in pids):
        time.sleep(0.05)
    _signal_all(pids, signal.SIGKILL)


def _signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


def _lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def guard() -> None:
    """Wait until the supervisor ends, then stop the processes that it left running."""
    pids: set[int] = set()
    for line in sys.stdin:  # -7 means that process 7 has ended
        pids = pids - {-int(line)} if line.startswith("-") else pids | {int(line)}
    end_groups(list(pids))


if __name__ == "__main__":
    guard()
