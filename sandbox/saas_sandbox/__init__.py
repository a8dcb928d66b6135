"""The sandbox: local stand-ins for external services, in a separate process.

It provides Stripe, a mailbox, Google and GitHub, for development and tests only. It imports nothing
from the application, which uses the sandbox like the real services.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask

from saas_sandbox.stripe.api import views as api
from saas_sandbox.stripe.api.idempotency import InFlight
from saas_sandbox.stripe.dashboard import admin_api
from saas_sandbox.stripe.dashboard import views as dashboard
from saas_sandbox.stripe.pages import checkout, invoice, portal, receipt
from saas_sandbox.stripe.scheduler import Scheduler
from saas_sandbox.stripe.webhook_sender import Post, WebhookSender, post_over_http

from . import home, identity, mailbox, security
from .background import Background
from .store import MEMORY, Store


@dataclass
class Sandbox:
    """The state shared by the views: store, time, and background work."""

    store: Store
    now: Callable[[], float]
    background: Background
    in_flight: InFlight = field(default_factory=InFlight)

    def close(self) -> None:
        """Stop the background work, and close the database."""
        self.background.close()
        self.store.close()


def create_sandbox(
    data: str = MEMORY,
    *,
    post: Post = post_over_http,
    now: Callable[[], float] = time.time,
    inline: bool = False,
) -> Flask:
    """Create the sandbox as a Flask application.

    `data` is the SQLite file, `post` delivers webhooks, `now` is the real time. With `inline`, the
    scheduler and deliveries run at the end of each request, which suits tests.
    """
    app = Flask(__name__)
    sandbox = _build_sandbox(Store(data), post, now, inline)
    app.extensions["sandbox"] = sandbox
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    _register_blueprints(app)
    security.init_app(app)
    if inline:
        app.teardown_request(lambda _: sandbox.background.drain())
    return app


def _register_blueprints(app: Flask) -> None:
    app.register_blueprint(home.bp)
    app.register_blueprint(mailbox.bp)
    app.register_blueprint(identity.bp)
    app.register_blueprint(api.bp)
    # For tools that accept a different host, but no path.
    app.register_blueprint(api.bp, name="stripe_api_at_root", url_prefix="/v1")
    app.register_blueprint(admin_api.bp)
    app.register_blueprint(checkout.bp)
    app.register_blueprint(portal.bp)
    app.register_blueprint(invoice.bp)
    app.register_blueprint(receipt.bp)
    app.register_blueprint(dashboard.bp)


def _build_sandbox(store: Store, post: Post, now: Callable[[], float], inline: bool) -> Sandbox:
    background = Background(
        Scheduler(store, now), WebhookSender(store, post, now), now, inline=inline
    )
    store.after_commit(background.wake)
    return Sandbox(store, now, background)
