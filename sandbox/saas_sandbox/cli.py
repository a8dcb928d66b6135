"""The command `saas-sandbox`."""

import os

import click

from saas_sandbox.server import HOST, is_port_taken, serve

from . import create_sandbox


@click.command("saas-sandbox")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535))
@click.option("--data", default="sandbox.db", show_default=True, help="Path of the SQLite file.")
def sandbox(port: int, data: str) -> None:
    """Serve local stand-ins for Stripe, a mailbox, Google and GitHub.

    Point any official Stripe library at http://127.0.0.1:PORT/stripe. Use a key that starts with
    sk_test_, followed by at least 16 letters or digits. Each key is a separate account.
    """
    if os.environ.get("SAAS_ENV") == "production":
        raise click.ClickException("The sandbox does not run in production.")
    if is_port_taken(port):
        raise click.ClickException(f"Port {port} is in use. Choose another one with --port.")

    where = f"Sandbox running at http://{HOST}:{port} (data: {data})"
    serve(create_sandbox(data), port, announce=lambda: click.echo(where))
