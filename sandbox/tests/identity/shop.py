"""A shop whose users sign in with Authlib's Flask client, exactly as documented."""

from typing import Any

from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, request, url_for
from werkzeug.wrappers import Response

CLIENT = "shop.apps.example"
SECRET = "the-secret-of-the-shop"
PATIENCE = 1.0
"""Seconds. The sandbox under test hangs for longer."""


def create_shop(identity: str) -> Flask:
    """Create the shop; `identity` is the URL of the providers."""
    app = Flask("shop")
    app.secret_key = "for tests"
    oauth = OAuth(app)
    _register(oauth, identity)

    @app.get("/in/<name>")
    def sign_in(name: str) -> Response:
        response: Response = oauth.create_client(name).authorize_redirect(
            url_for("back", name=name, _external=True)
        )
        return response

    @app.get("/back/<name>")
    def back(name: str) -> Any:
        client = oauth.create_client(name)
        answered = request.args.to_dict()
        try:
            token = client.authorize_access_token()
            user = _google(token) if name == "google" else _github(client)
        except Exception as error:  # noqa: BLE001 the tests check any error of Authlib
            return jsonify(refused=type(error).__name__, words=str(error), answered=answered)
        return jsonify(person=user, answered=answered)

    return app


def _register(oauth: OAuth, identity: str) -> None:
    mine = {"client_id": CLIENT, "client_secret": SECRET}
    oauth.register(
        "google",
        **mine,
        server_metadata_url=f"{identity}/google/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "default_timeout": PATIENCE,
        },
    )
    oauth.register(
        "github",
        **mine,
        authorize_url=f"{identity}/github/login/oauth/authorize",
        access_token_url=f"{identity}/github/login/oauth/access_token",
        api_base_url=f"{identity}/github/api/",
        client_kwargs={
            "scope": "read:user user:email",
            "code_challenge_method": "S256",
            "default_timeout": PATIENCE,
        },
    )


def _google(token: Any) -> Any:
    """Return the user, or None without an id_token, which Authlib does not require."""
    return token.get("userinfo")


def _github(client: Any) -> Any:
    user, emails = client.get("user"), client.get("user/emails")
    user.raise_for_status()
    return user.json() | {"emails": emails.json()}
