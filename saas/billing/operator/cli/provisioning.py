"""`flask billing setup` and `doctor`: what must stand at Stripe, and what is wrong with it."""

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


@bp.cli.command("setup", short_help="Make products, prices, portal, webhook endpoint.")
@click.option("--dry-run", is_flag=True, help="Show the plan and make nothing.")
@click.option(
    "--write",
    "file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Put the variables into this file, such as .env; printed otherwise.",
)
@click.option("--yes", is_flag=True, help="Do not ask before a live account is changed.")
@sandbox_process.requires_sandbox
def setup(dry_run: bool, file: Path | None, yes: bool) -> None:
    """Make at Stripe what saas/plans.py sells: products, prices, portal, webhook endpoint.

    Shows a plan first. What exists is adopted, and a second run changes nothing. Then come the
    variables that the application needs; the webhook secret among them only when it is new.
    """
    if not current_app.config["STRIPE_API_KEY"]:
        raise click.ClickException(
            "STRIPE_API_KEY is not set. Set a key of https://dashboard.stripe.com/apikeys, "
            "or run flask seed to use the sandbox."
        )
    steps = setting_up.plan()
    for step in steps:
        output.note(f"  {step.verb:<7} {step.what}")
    if dry_run:
        return
    is_change = any(step.verb in ("make", "change", "remove") for step in steps)
    if is_change and gateway.is_live() and not yes:
        click.confirm("This is a live account. Go on?", abort=True, err=True)
    _hand_out(setting_up.set_up(prefix=_prefix()), file)


def _prefix() -> str:
    """In the sandbox the variables are its own, so that a real key simply replaces them."""
    return "SANDBOX_" if current_app.config["STRIPE_IS_SANDBOX"] else ""


def _hand_out(variables: dict[str, str], file: Path | None) -> None:
    if file is None:
        for name, value in variables.items():
            click.echo(f"{name}={value}")
        return
    try:
        setting_up.write_env(file, variables)
    except (OSError, UnicodeDecodeError) as error:
        for name, value in variables.items():
            click.echo(f"{name}={value}")
        reason = getattr(error, "strerror", None) or "it is no text file"
        raise click.ClickException(
            f"{file} could not be written ({reason}). The variables stand above: the webhook "
            "secret is not told twice."
        ) from None
    output.note(f"Wrote {', '.join(variables)} to {file}.")


@bp.cli.command("doctor", short_help="What is wrong at Stripe, and what mends it.")
@json_option
@sandbox_process.requires_sandbox
def examine(as_json: bool) -> None:
    """Look for every way in which a Stripe set-up goes wrong, and say what mends it.

    Opens a checkout page and closes it again; changes nothing else. Exit code 1 when there is a
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
