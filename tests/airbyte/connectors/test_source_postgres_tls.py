"""TLS with certificates made here. The embedded server is built without TLS, so a proxy before it speaks that."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, issuer: Identity | None = None) -> Identity:
        """A certificate authority, or, signed by ``issuer``, a server at 127.0.0.1 or a client called ``name``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
        )
        return cls(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)

    @property
    def certificate_text(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_text(self, password: str | None = None) -> str:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(*pem, encryption).decode()


AUTHORITY = Identity.make("authority")


AUTHORITY = Identity.make("authority")


class Proxy:
    """Takes Postgres's TLS on a port of its own and hands what is inside on to ``upstream``."""

    def __init__(self, folder: Path, upstream: tuple[str, int], *, client_certificates: bool) -> None:
        server = Identity.make("server", AUTHORITY)
        (folder / "server.pem").write_text(server.certificate_text + server.key_text())
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        if client_certificates:
            self._context.load_verify_locations(cadata=AUTHORITY.certificate_text)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
        if len(client.recv(8)) < 8:
            return client.close()
        client.sendall(b"S")
        try:
            encrypted = self._context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            return client.close()
        with encrypted, socket.create_connection(self._upstream) as plain:
            while True:
                ready = [encrypted] if encrypted.pending() else select.select([encrypted, plain], [], [])[0]
                for end, other in ((encrypted, plain), (plain, encrypted)):
                    if end in ready:
                        try:
                            data = end.recv(65536)
                            other.sendall(data)
                        except OSError:
                            return None
                        if not data:
                            return None


@pytest.fixture
def encrypted(source: Any, execute: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The source behind TLS; with the parameter True, clients must show a certificate."""
    execute("CREATE TABLE t (id int PRIMARY KEY)")
    upstream = source.config["host"], source.config["port"]
    proxy = Proxy(tmp_path, upstream, client_certificates=getattr(request, "param", False))
    source.config["port"] = proxy.port
    yield source
    proxy.close()


TRUSTED = {"ca_certificate": AUTHORITY.certificate_text}


def test_the_authority_is_verified(encrypted: Any) -> None:
    wrong = {"ca_certificate": Identity.make("somebody else").certificate_text}
    for mode in ("verify-ca", "verify-full"):
        assert encrypted.check(ssl_mode={"mode": mode, **TRUSTED}) == {"status": "SUCCEEDED"}
        status = encrypted.check(ssl_mode={"mode": mode, **wrong})
        assert f"failed under ssl_mode {mode}: the server's certificate is not signed by" in status["message"]
        status = encrypted.check(ssl_mode={"mode": mode, "ca_certificate": "no certificate"})
        assert "ssl_mode.ca_certificate is not the PEM text" in status["message"]
    assert encrypted.check(ssl_mode={"mode": "require"}) == {"status": "SUCCEEDED"}


def test_verify_full_wants_the_name_that_the_certificate_has(encrypted: Any) -> None:
    # The certificate is 127.0.0.1's, which localhost is another name of.
    assert encrypted.check(host="localhost", ssl_mode={"mode": "verify-ca", **TRUSTED}) == {"status": "SUCCEEDED"}
    status = encrypted.check(host="localhost", ssl_mode={"mode": "verify-full", **TRUSTED})
    assert "certificate is for another name" in status["message"]


@pytest.mark.parametrize("encrypted", [True], indirect=True)
def test_a_client_shows_its_certificate(encrypted: Any) -> None:
    client = Identity.make("client", AUTHORITY)
    shown = {
        "client_certificate": client.certificate_text,
        "client_key": client.key_text("s3cret"),
        "client_key_password": "s3cret",
    }
    assert encrypted.check(ssl_mode={"mode": "verify-full", **TRUSTED, **shown}) == {"status": "SUCCEEDED"}
    status = encrypted.check(ssl_mode={"mode": "verify-full", **TRUSTED})
    assert "the server wants a client certificate" in status["message"]
    status = encrypted.check(ssl_mode={"mode": "verify-full", **TRUSTED, **shown, "client_key_password": "wr0ng"})
    assert "client_key_password does not open the key" in status["message"]
    assert "wr0ng" not in status["message"]


def test_the_log_comes_through(replica: Any, encrypted: Any, execute: Any) -> None:
    encrypted.config["ssl_mode"] = {"mode": "verify-full", **TRUSTED}
    replica.sync()
    execute("INSERT INTO t SELECT generate_series(1, 20000)")
    assert len(replica.sync().records("t")) == 20_000
