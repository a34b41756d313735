"""Which extended attributes a layer carries. One policy, and every drop is reported (trap 14).

kept      ``user.*``, ``security.capability``, ``security.ima``, ``system.posix_acl_access`` and ``..._default``
hidden    what the overlay that was read stores for itself: it describes the writable layer and not the file (trap 7)
dropped   everything else, among them ``security.selinux`` (belongs to the host's policy), ``trusted.*``, NFS4 ACLs,
          ``user.overlay.*`` (a rootless engine takes them for its own: moby#47962), and what PAX can't hold: empty
          values, and names with ``=``
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from assembler.layer.tar_header import CAPABILITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assembler.model.node import Xattrs

DEFAULT_ACL: Final = b"system.posix_acl_default"
_KEPT: Final = frozenset({CAPABILITY, b"security.ima", b"system.posix_acl_access", DEFAULT_ACL})
_USER: Final = b"user."
_USER_OVERLAY: Final = b"user.overlay."
_ESCAPE: Final = b"overlay."

_REVISION_MASK, _REVISION_2, _REVISION_3 = 0xFF000000, 0x02000000, 0x03000000


def normal(found: Iterable[tuple[bytes, bytes]], drop: Callable[[str], None], private: bytes | None = None) -> Xattrs:
    """Applies the policy to (name, value) pairs; ``drop`` hears what is left out.

    ``private`` is the prefix of the names that the overlay kept for itself (``trusted.overlay.`` or ``user.overlay.``),
    if the pairs were read below an overlay mount.
    """
    kept: list[tuple[bytes, bytes]] = []
    for name, value in found:
        if private is not None and name.startswith(private):
            if not name.startswith(_ESCAPE, len(private)):
                continue
            name = private + name[len(private) + len(_ESCAPE) :]  # a file's own overlay.x is there as overlay.overlay.x
        if name == CAPABILITY:
            value = capability_v2(value)
        if name not in _KEPT and (not name.startswith(_USER) or name.startswith(_USER_OVERLAY)):
            drop(f"the attribute {os.fsdecode(name)} is not in the layer")
        elif not value or b"=" in name:
            drop(f"the attribute {os.fsdecode(name)} is not in the layer: PAX can't hold empty values or '=' in names")
        else:
            kept.append((name, value))
    return tuple(sorted(kept))


def capability_v2(value: bytes) -> bytes:
    """File capabilities without the root id of the user namespace they were set in (trap 15; linux/capability.h).

    Revision 3 is revision 2 and four more bytes; only revision 2 means the same on another host.
    """
    magic = int.from_bytes(value[:4], "little")
    if magic & _REVISION_MASK != _REVISION_3 or len(value) != 24:
        return value
    return ((magic & ~_REVISION_MASK) | _REVISION_2).to_bytes(4, "little") + value[4:20]
