"""Compares all responses of a sandbox during a test with Stripe's published types."""

import json

from flask import Flask, Response, request
from saas_sandbox.stripe.engine.resource import strip_internal

from . import contract


class ResponseChecker:
    """Checks every response of the API, and finally every stored object and event."""

    def __init__(self, app: Flask) -> None:
        self.store = app.extensions["sandbox"].store
        self.wrong: set[str] = set()
        app.after_request(self.check_response)

    def check_response(self, response: Response) -> Response:
        if request.path.startswith("/stripe/v1/") and response.status_code == 200:
            values = [*request.args.items(multi=True), *request.form.items(multi=True)]
            paths = tuple(value for name, value in values if name.startswith("expand"))
            if response.is_json and contract.is_published():
                self.wrong |= contract.misfits(response.get_json(), paths)
        return response

    def check_stored_objects(self) -> set[str]:
        """Return the differences in all responses and in the stored objects."""
        rows = self.store.fetch_all("SELECT body FROM objects") if contract.is_published() else []
        for row in rows:
            self.wrong |= contract.misfits(strip_internal(json.loads(row["body"])))
        return self.wrong
