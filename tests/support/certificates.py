"""The tests' own certificate authority."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    return _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True,
    ).sign(key, hashes.SHA256())


def write_authority(directory: Path, *, address: str = "127.0.0.1", age: timedelta = timedelta(0)) -> Path:
    """ca.pem, and server.pem with server.key for ``address``, client.pem with client.key; all in ``directory``.

    Neither has a key identifier, as those of many companies. Certificates are good for a day; ``age`` makes them older.
    """
    authority = ec.generate_private_key(ec.SECP256R1())
    (directory / "ca.pem").write_bytes(_pem(self_signed("tests", authority)))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName("localhost")])
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, "tests", key, age).add_extension(names, critical=False)
        (directory / f"{name}.pem").write_bytes(_pem(builder.sign(authority, hashes.SHA256())))
        (directory / f"{name}.key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return directory


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, age: timedelta = timedelta(0)
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) - age
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
