"""The command: the sandbox alone, for any project."""

import os

import click

from . import create_sandbox
from .server import HOST, is_taken, serve


@click.command("saas-sandbox")
@click.option("--port", default=5001, show_default=True, type=click.IntRange(1, 65535))
@click.option("--data", default="sandbox.db", show_default=True, help="The SQLite file.")
def sandbox(port: int, data: str) -> None:
    """Serve the stand-ins for Stripe and the mail provider on this machine.

    Point any official Stripe library at http://127.0.0.1:PORT/stripe with a key of the form
    sk_test_ and at least 16 characters: each key is an account of its own.
    """
    if os.environ.get("SAAS_ENV") == "production":
        raise click.ClickException("The sandbox does not run in production.")
    if is_taken(port):
        raise click.ClickException(f"Port {port} is taken: choose another one with --port.")

    where = f"The sandbox is on http://{HOST}:{port} (its memory: {data})"
    serve(create_sandbox(data), port, announce=lambda: click.echo(where))
