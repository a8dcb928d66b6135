"""A thread that advances time and delivers webhooks when something is due."""

import logging
import threading
from collections.abc import Callable

from saas_sandbox.stripe.scheduler import Scheduler
from saas_sandbox.stripe.webhook_sender import WebhookSender

log = logging.getLogger(__name__)

LONGEST_SLEEP = 60.0


class Background:
    """Runs clock and deliveries in a thread, or with `inline` between requests."""

    def __init__(
        self,
        clockwork: Scheduler,
        courier: WebhookSender,
        now: Callable[[], float],
        *,
        inline: bool,
    ) -> None:
        self.clockwork = clockwork
        self.courier = courier
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
        """Do everything that is due, synchronously."""
        while self.clockwork.tick():
            pass
        while self.courier.run():
            pass

    def close(self) -> None:
        self._stopped = True
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.courier.close()

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._awake.clear()
                busy = self.clockwork.tick()
                self.courier.start(self.wake)
                if not busy:
                    self._awake.wait(self._pause())
            except Exception:
                log.exception("An error occurred while advancing test clocks; continuing")
                self._awake.wait(1)

    def _pause(self) -> float:
        coming = [
            due for due in (self.clockwork.next_due(), self.courier.next_due()) if due is not None
        ]
        if not coming:
            return LONGEST_SLEEP
        return min(max(min(coming) - self._now(), 0.05), LONGEST_SLEEP)
