"""Which certificates are trusted: one answer for registries and sources, and on every release of Python."""

from __future__ import annotations

import ssl
import threading
from typing import Any


def system_trust() -> ssl.SSLContext:
    """Trusts the system's authorities; Mozilla's where the system has none. They are read at the first handshake.

    Python 3.13 made RFC 5280's form a condition, such as an authority key identifier, which many private authorities
    lack. Docker, podman and former releases trust these, and so does this. As in Go, any trusted certificate may
    end the chain, an intermediate one too.
    """
    context = _SystemTrust(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class _SystemTrust(ssl.SSLContext):
    """To read 150 authorities takes 25 ms of processor time, and a registry on loopback seldom speaks TLS."""

    def __init__(self, *_: Any) -> None:
        self._lock = threading.Lock()
        self._was_read = False

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        self._read()
        return super().wrap_socket(*arguments, **options)

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Through a proxy that is reached by TLS itself."""
        self._read()
        return super().wrap_bio(*arguments, **options)

    def _read(self) -> None:
        with self._lock:
            if self._was_read:
                return
            others = self.cert_store_stats()
            self.load_default_certs()
            if self.cert_store_stats() == others:
                import httpx

                mozillas = httpx.create_ssl_context(trust_env=False).get_ca_certs(binary_form=True)
                self.load_verify_locations(cadata=b"".join(mozillas))
            self._was_read = True
