"""Certificates of an authority, valid and invalid ones."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class CertificatePair:
    certificate: Path
    key: Path

    @property
    def combined_file(self) -> Path:
        """Key and certificate in one file, the form that Kafka reads."""
        path = self.certificate.with_suffix(".both.pem")
        path.write_bytes(self.key.read_bytes() + self.certificate.read_bytes())
        return path


class CertificateAuthority:
    """Issues certificates; `file` is its own certificate, for clients that trust it."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._key = directory, ec.generate_private_key(ec.SECP256R1())
        self._name = _x509_name(name)
        self.file = directory / f"{name}.pem"
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            _certificate_builder(self._name, self._name, self._key, dt.datetime.now(dt.UTC) + 30 * DAY)
            .add_extension(constraints, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file.write_bytes(_pem(self._certificate))

    def issue(
        self, name: str, hosts: Sequence[str] = LOOPBACK_HOSTS, expires_in: dt.timedelta = 30 * DAY
    ) -> CertificatePair:
        """Issue a certificate for these hosts that expires after `expires_in`, with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _certificate_builder(_x509_name(name), self._name, key, dt.datetime.now(dt.UTC) + expires_in)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        issued = CertificatePair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        issued.certificate.write_bytes(_pem(signed))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return issued


def _certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, not_after: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - 60 * DAY)
        .not_valid_after(not_after)
    )


def _x509_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def server_tls(
    authority: CertificateAuthority, clients: CertificateAuthority | None = None
) -> ssl.SSLContext:
    """Return the context of a server on loopback. `clients`: the authority whose certificates clients must have; None: none."""
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)
    return context
