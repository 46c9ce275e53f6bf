"""Access tokens: signed, stateless, valid across restarts.

The signing key is derived from the client secret, so a restarted server (or one on another port) accepts the tokens
that clients still hold: the Airflow provider's SDK caches them per client id and does not ask again after a 401.
"""

from __future__ import annotations

import hashlib
import hmac
import time

import jwt

TOKEN_SECONDS = 3600
_ALGORITHM = "HS256"
_ISSUER = "airbyte-server"


class Authenticator:
    """Issues and checks tokens for the one application (client id and secret) of this server."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        self.client_id = client_id
        self._client_secret = client_secret
        self._key = hmac.digest(client_secret.encode(), b"airbyte-server access token", hashlib.sha256)

    def credentials_match(self, client_id: str, client_secret: str) -> bool:
        """Compare in constant time."""
        same_id = hmac.compare_digest(client_id.encode(), self.client_id.encode())
        same_secret = hmac.compare_digest(client_secret.encode(), self._client_secret.encode())
        return same_id and same_secret

    def issue(self, seconds: int = TOKEN_SECONDS) -> str:
        """A token that is valid for so long."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "sub": self.client_id, "iat": now, "exp": now + seconds}
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def is_valid(self, token: str) -> bool:
        """Whether ``token`` was signed with this client secret, for this client id, and has not expired."""
        try:
            claims = jwt.decode(
                token, self._key, algorithms=[_ALGORITHM], issuer=_ISSUER, options={"require": ["exp", "sub"]}
            )
        except jwt.InvalidTokenError:
            return False
        return hmac.compare_digest(str(claims["sub"]).encode(), self.client_id.encode())
