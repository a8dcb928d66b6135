"""The identity provider: simulates Google (OpenID Connect) and GitHub (OAuth 2).

Any client id and secret are accepted, and no password is asked for. Failures of a provider are
chosen on the page, or with `sandbox_…` parameters in the client's request (views.py).
"""

from flask import Blueprint, current_app, render_template
from flask.blueprints import BlueprintSetupState

from saas_sandbox.identity import failures, github, google, grants, profiles

bp = Blueprint("identity", __name__, url_prefix="/identity")
bp.register_blueprint(google.bp)
bp.register_blueprint(github.bp)


@bp.record_once
def create_tables(state: BlueprintSetupState) -> None:
    grants.create_tables(state.app.extensions["sandbox"].store)
    state.app.config.setdefault("IDENTITY_HANG_SECONDS", failures.HANG_SECONDS)


@bp.get("/")
def index() -> str:
    return render_template(
        "identity/index.html",
        users=profiles.TEST_USERS,
        oauth_failures=failures.OAUTH_FAILURES,
        openid_failures=failures.OPENID_FAILURES,
        seconds=current_app.config["IDENTITY_HANG_SECONDS"],
    )
