"""`python -m saas_sandbox`."""

from saas_sandbox.cli import sandbox

sandbox(prog_name="python -m saas_sandbox")
