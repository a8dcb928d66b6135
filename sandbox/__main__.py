"""`python sandbox`, in a checkout: runs the sandbox without installing it."""

from saas_sandbox.cli import sandbox

sandbox(prog_name="python sandbox")
