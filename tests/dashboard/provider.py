"""A small OpenID Connect provider for tests, on this machine: logs in whoever it was told to, and asks nobody."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


class Provider:
    """Authorisation code flow over HTTP; identity tokens are signed with a key of its own.

    Attributes
    ----------
    claims : dict
        What the next identity token says of the user, such as ``email``.
    """

    def __init__(self) -> None:
        from joserfc.jwk import RSAKey

        self.key = RSAKey.generate_key(2048, parameters={"kid": "test"})
        self.claims: dict[str, Any] = {}
        self.nonces: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def authorise(self, query: dict[str, list[str]]) -> str:
        """Address to send the browser back to."""
        code = f"code-{len(self.nonces)}"
        self.nonces[code] = query["nonce"][0]
        return f"{query['redirect_uri'][0]}?{urlencode({'code': code, 'state': query['state'][0]})}"

    def token(self, code: str) -> dict[str, Any]:
        from joserfc import jwt

        now = int(time.time())
        said = {"iss": self.url, "aud": "faircam", "sub": "1", "iat": now, "exp": now + 600, "nonce": self.nonces[code]}
        signed = jwt.encode({"alg": "RS256", "kid": "test"}, {**said, **self.claims}, self.key)
        return {"access_token": "a", "token_type": "Bearer", "id_token": signed}

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805  `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                if address.path == "/authorize":
                    self.send_response(302)
                    self.send_header("Location", provider.authorise(parse_qs(address.query)))
                    self.end_headers()
                elif address.path == "/keys":
                    self._json({"keys": [provider.key.as_dict(private=False)]})
                else:
                    self._json(provider.metadata())

            def do_POST(self) -> None:
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._json(provider.token(body["code"][0]))

            def _json(self, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
