from __future__ import annotations

import io
import tarfile

import pytest

from assembler.errors import ImageError
from assembler.image.rootfs_tarball import refuse_doubles, with_empty_dev

DEV_FIRST = ["./dev/", "./dev/console", "./dev/pts/", "./", "./etc/", "./etc/hosts"]
"""mmdebstrap without --skip=output/dev."""
NO_DEV = ["./", "./etc/", "./etc/hosts"]
"""mmdebstrap 1.3 with --skip=output/dev."""
DEV_AMONG_OTHERS = ["./", "./dev/", "./etc/", "./etc/hosts"]
"""mmdebstrap 1.5 with --skip=output/dev."""
DEV_TWICE = ["./dev/", "./", "./dev/", "./dev/null", "./etc/", "./etc/hosts"]


def archive(names: list[str], content: bytes = b"contents\n") -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.pax_headers = {"SCHILY.xattr.user.name": name}
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            elif name.startswith("./dev/"):
                member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 5, 1
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    file.seek(0)
    return file


@pytest.mark.parametrize("names", [DEV_FIRST, NO_DEV, DEV_AMONG_OTHERS, DEV_TWICE])
def test_dev_stands_once_and_empty_whatever_mmdebstrap_wrote(names: list[str]) -> None:
    sink = io.BytesIO()
    with_empty_dev(archive(names), sink, 1_500_000_000)
    sink.seek(0)
    refuse_doubles(sink, "it")
    sink.seek(0)
    with tarfile.open(fileobj=sink) as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == ["./dev", ".", "./etc", "./etc/hosts"]
        assert (members[0].type, members[0].mode, members[0].mtime) == (tarfile.DIRTYPE, 0o755, 1_500_000_000)
        assert members[3].pax_headers == {"SCHILY.xattr.user.name": "./etc/hosts"}
        hosts = tar.extractfile(members[3])
        assert hosts is not None and hosts.read() == b"contents\n"


def test_all_but_dev_is_copied_byte_for_byte() -> None:
    original, sink = archive(NO_DEV, bytes(3 << 20)), io.BytesIO()
    with_empty_dev(original, sink, 0)
    assert sink.getvalue()[512:] == original.getvalue()


@pytest.mark.parametrize("double", ["etc/hosts", "./etc/hosts", "./etc//hosts"])
def test_a_path_that_stands_twice_is_refused_under_any_spelling(double: str) -> None:
    with pytest.raises(ImageError, match=r"/etc/hosts is in rootfs old\.tar twice"):
        refuse_doubles(archive([*NO_DEV, double]), "rootfs old.tar")
