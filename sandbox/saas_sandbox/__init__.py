"""The sandbox: stand-ins for the outside world, in a process of its own.

A Stripe that needs no account, and a mailbox. Development and tests only: nothing of the product
is imported here, and the product speaks to it as it would to the real services.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask

from . import home, identity, mailbox, security
from .background import Background
from .store import MEMORY, Store
from .stripe import api, control, panel
from .stripe.clock import Clockwork
from .stripe.delivery import Courier, Post, over_http
from .stripe.hosted import checkout, invoice, portal
from .stripe.idempotency import InFlight


@dataclass
class Sandbox:
    """What the views share: rows, time, and what runs beside them."""

    store: Store
    now: Callable[[], float]
    background: Background
    in_flight: InFlight = field(default_factory=InFlight)

    def close(self) -> None:
        """Stop the clock and the deliveries, and close the file."""
        self.background.close()
        self.store.close()


def create_sandbox(
    data: str = MEMORY,
    *,
    post: Post = over_http,
    now: Callable[[], float] = time.time,
    inline: bool = False,
) -> Flask:
    """The sandbox as a Flask application.

    `data` is the SQLite file, `post` delivers webhooks, `now` is real time. With `inline`, clock
    and deliveries run at the end of each request instead of in a thread, as tests like it.
    """
    app = Flask(__name__)
    sandbox = _furnished(Store(data), post, now, inline)
    app.extensions["sandbox"] = sandbox
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    app.register_blueprint(home.bp)
    app.register_blueprint(mailbox.bp)
    app.register_blueprint(identity.bp)
    app.register_blueprint(api.bp)
    # For tools that can be pointed at another host, but not at a path on it.
    app.register_blueprint(api.bp, name="stripe_api_of_the_host", url_prefix="/v1")
    app.register_blueprint(control.bp)
    app.register_blueprint(checkout.bp)
    app.register_blueprint(portal.bp)
    app.register_blueprint(invoice.bp)
    app.register_blueprint(panel.bp)
    security.protect(app)
    if inline:
        app.teardown_request(lambda _: sandbox.background.drain())
    return app


def _furnished(store: Store, post: Post, now: Callable[[], float], inline: bool) -> Sandbox:
    clockwork = Clockwork(store, now)
    background = Background(clockwork, Courier(store, post, now), now, inline=inline)
    store.after_commit(background.wake)
    return Sandbox(store, now, background)
