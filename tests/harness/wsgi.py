"""The tests' application for the processes that they start; otherwise the same as `wsgi.py`."""

from saas import create_app
from saas.config import ConfigError
from saas.declaration import ProductError

try:
    app = create_app(product="tests.harness.sample_product")
except (ConfigError, ProductError) as error:
    raise SystemExit(str(error)) from None
