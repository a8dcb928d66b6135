"""`python -m saas.sandbox`: the sandbox without the application and its settings."""

from .cli import sandbox

sandbox(prog_name="python -m saas.sandbox")
