"""`flask billing setup` and `doctor`: create the objects for billing in Stripe, and check them."""

from __future__ import annotations

from pathlib import Path

import click
from flask import current_app

from saas import sandbox_process
from saas.billing import bp, gateway
from saas.billing.operator import provisioning as setting_up
from saas.billing.operator.cli import output
from saas.billing.operator.cli.reconcile import json_option
from saas.billing.operator.diagnostics import checks


@bp.cli.command("setup", short_help="Create products, prices, portal and webhook endpoint.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the variables to this file, such as .env, instead of printing them.",
)
@click.option("--yes", is_flag=True, help="Change a live account without asking.")
@sandbox_process.requires_sandbox
def setup(dry_run: bool, file: Path | None, yes: bool) -> None:
    """Create the objects for the catalogue in Stripe: products, prices, portal, webhook endpoint.

    Shows a plan first. Existing objects are reused, and a second run changes nothing. Prints the
    variables that the application needs; the webhook secret only when the endpoint is new.
    """
    if not current_app.config["STRIPE_API_KEY"]:
        raise click.ClickException(
            "STRIPE_API_KEY is not set. Set a key from https://dashboard.stripe.com/apikeys, "
            "or run `flask seed` to use the sandbox."
        )
    steps = setting_up.plan()
    for step in steps:
        output.note(f"  {step.verb:<7} {step.what}")
    if dry_run:
        return
    is_change = any(step.verb in ("create", "update", "remove") for step in steps)
    if is_change and gateway.is_live() and not yes:
        click.confirm("This is a live account. Continue?", abort=True, err=True)
    _output_variables(setting_up.set_up(prefix=_prefix()), file)


def _prefix() -> str:
    """Return the prefix of the sandbox's variables, which a real key then overrides."""
    return "SANDBOX_" if current_app.config["STRIPE_IS_SANDBOX"] else ""


def _output_variables(variables: dict[str, str], file: Path | None) -> None:
    if file is None:
        for name, value in variables.items():
            click.echo(f"{name}={value}")
        return
    try:
        setting_up.write_env(file, variables)
    except (OSError, UnicodeDecodeError) as error:
        for name, value in variables.items():
            click.echo(f"{name}={value}")
        reason = getattr(error, "strerror", None) or "it is not a text file"
        raise click.ClickException(
            f"{file} could not be written ({reason}). Copy the variables above: Stripe does not "
            "show the webhook secret again."
        ) from None
    output.note(f"Wrote {', '.join(variables)} to {file}.")


@bp.cli.command("doctor", short_help="Check the setup in Stripe.")
@json_option
@sandbox_process.requires_sandbox
def examine(as_json: bool) -> None:
    """Check the setup in Stripe, and print how to fix each problem.

    Opens a checkout session and expires it; changes nothing else. Exits with 1 if there is a
    problem.
    """
    problems = 0
    for finding in checks.examine():
        problems += finding.is_problem
        if as_json:
            output.line(
                check=finding.check,
                problem=finding.is_problem,
                message=finding.message,
                fix=finding.fix or None,
            )
        else:
            state = "PROBLEM" if finding.is_problem else "ok"
            click.echo(f"{state:<8} {finding.check:<11} {finding.message}")
            if finding.is_problem:
                click.echo(f"{'':<20} -> {finding.fix}")
    if problems:
        raise SystemExit(1)
