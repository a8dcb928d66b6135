"""The signing key of id_tokens, created on first use and stored."""

import json

from joserfc.jwk import RSAKey

from ..store import Store


def get_signing_key(store: Store) -> RSAKey:
    with store.transaction():
        row = store.fetch_one("SELECT body FROM identity_keys WHERE use = 'sig'")
        if row:
            return RSAKey.import_key(json.loads(row["body"]))

        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        body = json.dumps(key.as_dict(private=True))
        store.execute("INSERT INTO identity_keys VALUES ('sig', ?)", body)
    return key


def public_jwks(store: Store) -> dict[str, object]:
    """Return the JWKS: the public part of the key."""
    return {"keys": [get_signing_key(store).as_dict(private=False)]}
