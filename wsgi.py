"""The application, for gunicorn and flask."""

from saas import create_app
from saas.config import ConfigError

try:
    app = create_app()
except ConfigError as error:
    raise SystemExit(str(error)) from None  # a line for each variable, and no trace
