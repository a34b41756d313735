from __future__ import annotations

from assembler.engine.init_process import Mount, read_mounts


def test_a_mount_may_have_any_name() -> None:
    """The kernel escapes blanks, newlines and backslashes, and nothing else (seq_escape)."""
    lines = (b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
             b"30 27 0:4 / /mnt/a\\040b\\012c\rd\x0be rw shared:1 master:2 - tmpfs with\rname rw,size=4k\n"
             b"31 27 0:4 /x\\040y /mnt/in ro,nosuid - tmpfs none rw\n")
    assert read_mounts(lines) == [
        Mount(b"/", b"/", False, "ext4", (b"rw", b"discard")),
        Mount(b"/", b"/mnt/a b\nc\rd\x0be", False, "tmpfs", (b"rw", b"size=4k")),
        Mount(b"/x y", b"/mnt/in", True, "tmpfs", (b"rw",)),
    ]  # fmt: skip
    assert read_mounts(b"") == []
