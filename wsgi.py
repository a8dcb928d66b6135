"""The application, for gunicorn and flask."""

import os

from saas import create_app
from saas.config import ConfigError
from saas.declaration import ProductError

try:
    app = create_app()
except (ConfigError, ProductError) as error:
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":  # the development server waits for a change
        raise
    raise SystemExit(str(error)) from None  # a line for each problem, and no trace
