"""A private certificate authority of a test, and the certificates that it signs."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_TODAY = (-1, 1)


class PrivateCa:
    """``file`` is its own certificate, for whoever is to trust it."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.file = folder / f"{name}.pem"
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(self._name, self._key, _TODAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.file.write_bytes(_pem(own.sign(self._key, hashes.SHA256())))

    def client(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority, and the well-known ones."""
        return ssl.create_default_context(cafile=str(self.file))

    def server(self, host: str = "localhost", *, days: tuple[int, int] = _TODAY) -> ssl.SSLContext:
        """Return the context of a server that proves to be ``host``, good from and to these days.

        Days count from today.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify(context, host, days=days)
        return context

    def certify(
        self, context: ssl.SSLContext, host: str = "localhost", *, days: tuple[int, int] = _TODAY
    ) -> None:
        """Have the server of that context show a new certificate from its next connection on."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
        hosts = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = (
            self._builder(name, key, days)
            .add_extension(hosts, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"server-{signed.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + _pem(signed)
        )
        context.load_cert_chain(path)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: tuple[int, int]
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
