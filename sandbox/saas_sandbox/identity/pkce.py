"""Proof key for code exchange, S256 only (RFC 7636)."""

import base64
import hmac
import re
from hashlib import sha256

# 4.2: BASE64URL(SHA256(verifier)) is 43 characters; 4.1: the verifier is 43 to 128 of these.
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


def find_error(challenge: str, method: str) -> tuple[str, str] | None:
    """Return the error in the challenge of a request, or None."""
    if not challenge and not method:
        return None
    if not challenge:
        return "invalid_request", "code_challenge_method requires code_challenge."
    # 4.3: without a method it "defaults to "plain"".
    if method != "S256":
        return "invalid_request", "code_challenge_method must be S256; plain is not supported."
    if not CHALLENGE.fullmatch(challenge):
        return "invalid_request", "code_challenge is not a SHA-256 hash in base64url."
    return None


def verify(challenge: str, verifier: str) -> bool:
    """Return whether the verifier matches the challenge.

    RFC 9700, 2.1.1: a verifier without a challenge is refused too. Otherwise an attacker could
    remove PKCE from the request.
    """
    if not challenge or not verifier:
        return not challenge and not verifier
    if not VERIFIER.fullmatch(verifier):
        return False
    digest = sha256(verifier.encode()).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(expected, challenge)
