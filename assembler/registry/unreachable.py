"""Why no whole answer came, and whether it may come later."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from assembler.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx


_UNKNOWN_AUTHORITY: Final = (
    "Give the authority that signed it with --ca-file. If you did, that file holds another one: "
    "look at the issuer that the server shows."
)
_NAME: Final = "Use the name that the certificate is for, or have one made for this name."
_TIME: Final = "Check this machine's clock. If it is right, the registry needs a new certificate."
_CERTIFICATE_HINTS: Final = {9: _TIME, 10: _TIME, 62: _NAME, 64: _NAME}
"""By OpenSSL's X509_V_ERR_: CERT_NOT_YET_VALID, CERT_HAS_EXPIRED, HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH."""


class Unreachable(RegistryError):
    """The connection failed, was cut, or stayed silent. ``temporary`` when that may pass."""

    def __init__(self, message: str, *, hint: str | None = None, temporary: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.temporary = temporary


def explain(error: httpx.TransportError, asked: str, host: str, *, reached: bool) -> Unreachable:
    """``asked`` is method and URL as they may be shown; ``reached``: this connection had an answer before.

    A host that never answered and refuses, or has no address, is a mistyped name more often than a passing fault.
    """
    causes = list(_causes(error))
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        return Unreachable(f"{host} shows a certificate that is not trusted: {untrusted.verify_message}",
                           hint=_CERTIFICATE_HINTS.get(untrusted.verify_code, _UNKNOWN_AUTHORITY), temporary=False)
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None and not reached:
        return _no_tls(tls, host)
    final = not reached and any(isinstance(cause, (ConnectionRefusedError, socket.gaierror)) for cause in causes)
    said = f" ({error})" if str(error) else ""
    return Unreachable(f"No answer to {asked}: {type(error).__name__}{said}", temporary=not final,
                       hint="Check the host's name, the network and the proxy settings.")


def _no_tls(error: ssl.SSLError, host: str) -> Unreachable:
    if "ALERT" in (error.reason or "") and "CERTIFICATE" in error.reason:  # what we showed, or did not show
        hint = "This registry wants a client certificate: give it with --cert and --key."
    else:
        hint = "If this registry is plain HTTP, say so with --plain-http."
    return Unreachable(f"No TLS connection to {host}: {error}", hint=hint, temporary=False)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
