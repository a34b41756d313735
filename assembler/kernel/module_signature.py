"""A module's signature, which scripts/sign-file of the kernel appends, and the keys that a kernel trusts.

Sources: include/linux/module_signature.h; PKCS #7 (RFC 2315) and X.509 (RFC 5280), as far as they name a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from assembler.model.printable import printable

MARK: Final = b"~Module signature appended~\n"
_TRAILER: Final = Struct(">BBBBB3xI")
_PKCS7: Final = 2
_VERSION: Final = 0xA0
_COMMON_NAME: Final = bytes.fromhex("0603550403")
_KEY_ID: Final = bytes.fromhex("0603551d0e")
_CERTIFICATE: Final = re.compile(rb"\x30\x82(..)\x30\x82", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Signer:
    """Which key signed: its certificate's serial number and issuer, or the key's own identifier."""

    name: str
    serial: int | None = None
    issuer: bytes = b""
    key_id: bytes = b""

    def __str__(self) -> str:
        return self.name if self.serial is None else _labelled(self.name, self.serial)


@dataclass(frozen=True, slots=True)
class Key:
    """A certificate that a kernel trusts."""

    name: str
    serial: int
    issuer: bytes
    key_id: bytes

    def __str__(self) -> str:
        return _labelled(self.name, self.serial)

    def is_of(self, signer: Signer) -> bool:
        if signer.serial is None:
            return bool(signer.key_id) and signer.key_id == self.key_id
        return signer.serial == self.serial and signer.issuer == self.issuer


def _labelled(name: str, serial: int) -> str:
    """Kernels' own keys have all the same name."""
    return f"{name} ({serial:x})"


class Unreadable(Exception):
    """The signature is not what the kernel's own tool writes."""


def split(data: memoryview) -> tuple[memoryview, memoryview | None]:
    """A module without its signature, and the signature's PKCS #7 message; None where there is none.

    Unreadable where the mark is there, but no message before it.
    """
    if bytes(data[-len(MARK) :]) != MARK:
        return data, None
    end = len(data) - len(MARK) - _TRAILER.size
    if end < 0:
        raise Unreadable("it is shorter than its own trailer")
    _, _, kind, _, _, length = _TRAILER.unpack_from(data, end)
    if kind != _PKCS7 or length > end:
        raise Unreadable("its trailer is damaged")
    return data[: end - length], data[end - length : end]


def signer_of(message: memoryview) -> Signer:
    """Who signed; Unreadable for what is no signed message of one signer."""
    try:
        content = _children(_children(bytes(message))[0].body)
        signed = _children(_children(content[1].body)[0].body)
        one = _children(_children(signed[-1].body)[0].body)
        who = one[1]
        if who.tag & 0xF0 == 0x80:
            return Signer(f"the key {who.body.hex()}", key_id=who.body)
        issuer, serial = _children(who.body)
        return Signer(_common_name(issuer.body), int.from_bytes(serial.body, "big", signed=True), issuer.body)
    except (IndexError, ValueError) as error:
        raise Unreadable("it is no message that a signer signed") from error


def trusted_keys(image: bytes, end: str) -> tuple[Key, ...] | None:
    """The kernel's built-in trusted keys out of its uncompressed ``image``; None where they can't be told.

    certs/system_certificates.S puts the certificates behind each other, and then, aligned to 8 bytes, the length of
    them all and that of the first ones, which are the key of the build. Other certificates in a kernel, revoked ones
    for one, have no such end.
    """
    number = Struct(end + "Q")
    for start in (found.start() for found in _CERTIFICATE.finditer(image)):
        stop = start
        while (size := _length_at(image, stop)) is not None:
            stop += size
        sizes = stop + -stop % 8
        if stop > start and len(image) >= sizes + 16:
            (whole,) = number.unpack_from(image, sizes)
            (own,) = number.unpack_from(image, sizes + 8)
            if whole == stop - start and own <= whole:
                return tuple(_keys(image[start:stop]))
    return None


def _length_at(image: bytes, at: int) -> int | None:
    found = _CERTIFICATE.match(image, at)
    if found is None:
        return None
    size = int.from_bytes(found[1], "big") + 4
    return size if _COMMON_NAME in image[at : at + size] else None


def _keys(certificates: bytes) -> Iterator[Key]:
    for certificate in _children(certificates):
        try:
            fields = _children(_children(certificate.body)[0].body)
            if fields[0].tag == _VERSION:
                del fields[0]
            serial, _, issuer, _, subject = fields[:5]
            number = int.from_bytes(serial.body, "big", signed=True)
            yield Key(_common_name(subject.body), number, issuer.body, _key_id(certificate.body))
        except (IndexError, ValueError):
            continue


def _key_id(certificate: bytes) -> bytes:
    """The subject key identifier: its extension holds octets within octets."""
    _, found, rest = certificate.partition(_KEY_ID)
    return _first(_first(rest).body).body if found else b""


def _common_name(name: bytes) -> str:
    _, found, rest = name.rpartition(_COMMON_NAME)
    return printable(_first(rest).body.decode("utf-8", "replace")) if found else "a signer without a name"


@dataclass(frozen=True, slots=True)
class _Der:
    tag: int
    body: bytes


def _children(data: bytes) -> list[_Der]:
    """The values that stand in ``data`` (X.690, "Distinguished encoding rules"). ValueError where one is cut off."""
    found, at = [], 0
    while at < len(data):
        one, at = _value(data, at)
        found.append(one)
    return found


def _first(data: bytes) -> _Der:
    return _value(data, 0)[0]


def _value(data: bytes, at: int) -> tuple[_Der, int]:
    """The value at ``at``, and where the next one begins. ValueError or IndexError where it is cut off."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    if at + length > len(data):
        raise ValueError("cut off")
    return _Der(tag, data[at : at + length]), at + length
