"""Which certificates are trusted: one answer for registries and sources, and on every release of Python."""

from __future__ import annotations

import ssl


def system_trust() -> ssl.SSLContext:
    """Trusts the system's authorities and Mozilla's.

    Python 3.13 made RFC 5280's form a condition, such as an authority key identifier, which many private authorities
    lack. Docker, podman and former releases trust these, and so does this. As in Go, any trusted certificate may
    end the chain, an intermediate one too.
    """
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
