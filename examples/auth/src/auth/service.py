"""The service's requests."""

import base64
import importlib.metadata
import socket
import time

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Flask, Response, abort, jsonify, request

from auth.settings import Settings

LONGEST_WAIT = 30.0  # seconds


def create_app(settings: Settings) -> Flask:
    app = Flask("auth")
    version = importlib.metadata.version("auth")
    box = Fernet(_key(settings.secret))

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(
            status="ok",
            version=version,
            host=socket.gethostname(),
            secret=settings.secret is not None,  # whether there is one, never what it is
        )

    @app.get("/")
    def issue() -> Response:
        subject = request.args.get("subject", "anonymous")
        token = box.encrypt(subject.encode()).decode()
        return jsonify(issuer=settings.issuer, token=token, lifetime=settings.lifetime)

    @app.get("/verify")
    def verify() -> Response:
        try:
            subject = box.decrypt(request.args.get("token", ""), ttl=settings.lifetime)
        except InvalidToken:
            abort(403)
        return jsonify(issuer=settings.issuer, subject=subject.decode())

    @app.get("/wait")
    def wait() -> Response:
        """Take its time: whoever deploys can see that a request in flight is let finish."""
        seconds = min(max(request.args.get("seconds", 1.0, type=float), 0.0), LONGEST_WAIT)
        time.sleep(seconds)
        return jsonify(waited=seconds, version=version)

    return app


def _key(secret: str | None) -> bytes:
    """Without a secret, tokens are good for this process alone."""
    if secret is None:
        return Fernet.generate_key()
    derived = HKDF(SHA256(), length=32, salt=None, info=b"auth tokens").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
