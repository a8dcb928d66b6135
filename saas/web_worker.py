"""gunicorn's threaded worker, which gives its listening sockets back as soon as it drains.

gunicorn keeps them open until the last request has ended. Meanwhile the kernel accepts connections
for them, which are reset in the end. A proxy cannot send those requests to another host, because
it does not know whether they were carried out. A closed socket refuses, and the proxy goes on.
"""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker


class DrainingWorker(ThreadWorker):
    """Accept what waits, and close the listening sockets, when asked to end."""

    def set_accept_enabled(self, enabled: bool | None) -> None:
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            accepted = -1
            while accepted != self.nr_conns:  # until none waits
                accepted = self.nr_conns
                self.accept(listener)
            listener.close()
        self.sockets = []
