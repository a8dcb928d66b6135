"""The application, for gunicorn and flask."""

from saas import create_app
from saas.config import ConfigError
from saas.declaration import ProductError

try:
    app = create_app()
except (ConfigError, ProductError) as error:
    raise SystemExit(str(error)) from None  # a line for each problem, and no trace
