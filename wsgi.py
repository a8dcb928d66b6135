"""The application, for gunicorn and flask."""

from saas import create_app

app = create_app()
