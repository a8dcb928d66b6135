"""A thread that advances time and delivers webhooks when they are due."""

import logging
import threading
from collections.abc import Callable

from saas_sandbox.stripe.scheduler import Scheduler
from saas_sandbox.stripe.webhook_sender import WebhookSender

log = logging.getLogger(__name__)

MAX_SLEEP = 60.0


class Background:
    """Runs the scheduler and deliveries in a thread, or between requests with `inline`."""

    def __init__(
        self,
        scheduler: Scheduler,
        webhook_sender: WebhookSender,
        now: Callable[[], float],
        *,
        inline: bool,
    ) -> None:
        self.scheduler = scheduler
        self.webhook_sender = webhook_sender
        self.inline = inline
        self._now = now
        self._awake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        if not inline:
            self._thread.start()

    def wake(self) -> None:
        """Wake the thread after a write. Inline, `drain` does the work instead.

        Writes by the thread itself do not wake it, or it would never sleep.
        """
        if threading.current_thread() is not self._thread:
            self._awake.set()

    def drain(self) -> None:
        """Do all due work synchronously."""
        while self.scheduler.tick():
            pass
        while self.webhook_sender.send_due():
            pass

    def close(self) -> None:
        """Stop the thread, and wait for the deliveries in flight."""
        self._stopped = True
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.webhook_sender.close()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._awake.clear()
                busy = self.scheduler.tick()
                self.webhook_sender.start_due(self.wake)
                if not busy:
                    self._awake.wait(self._seconds_until_due())
            except Exception:
                log.exception("An error occurred in the background thread; continuing")
                self._awake.wait(1)

    def _seconds_until_due(self) -> float:
        due_times = [
            due
            for due in (self.scheduler.next_due(), self.webhook_sender.next_due())
            if due is not None
        ]
        if not due_times:
            return MAX_SLEEP
        return min(max(min(due_times) - self._now(), 0.05), MAX_SLEEP)
