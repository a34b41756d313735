"""COPY and ADD out of the build's context or from a URL: [[file]] and [[source]]."""

from __future__ import annotations

import hashlib
import re
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from assembler.dockerfile.scope import Here
from assembler.dockerfile.words import json_list, literal

_DIRECTORIES: Final = frozenset(map(PurePosixPath, (
    "/", "/bin", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root", "/sbin", "/srv", "/tmp", "/usr",
    "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/sbin",
    "/usr/share", "/usr/src", "/var", "/var/lib", "/var/log",
)))  # fmt: skip
"""What any image has: what is copied there goes into it, also where the Dockerfile writes no slash."""


_COMPRESSIONS: Final = {b"\x1f\x8b": "z", b"BZh": "j", b"\xfd7zXZ": "J"}
"""What tar is told of an archive by its first bytes; not every tar finds out."""


def is_everywhere(path: PurePosixPath) -> bool:
    """Whether an image has this directory anyway, with more in it than was copied there."""
    return path in _DIRECTORIES


@dataclass(frozen=True, slots=True)
class Copied:
    """``sources`` and ``target`` of a COPY or ADD; ``into``: the target is a directory that they go into."""

    sources: tuple[str, ...]
    target: PurePosixPath
    into: bool


def copied(here: Here) -> Copied:
    parts = json_list(here.instruction.value) or here.instruction.value.split()
    *sources, target = (here.expanded(part) for part in parts)
    path = here.scope.path(target)
    into = target.endswith(("/", "/.")) or target in (".", "") or len(sources) > 1 or is_everywhere(path)
    return Copied(tuple(sources), path, into or path == here.scope.workdir)


def add_copy(here: Here) -> None:
    """COPY and ADD of what is in ``context``, a URL or a heredoc."""
    if here.instruction.heredocs:
        _heredocs(here)
        return
    what = copied(here)
    for source in what.sources:
        if re.match(r"https?://", source):
            _url(source, what, here)
        elif source.startswith(("git@", "git://")):
            here.todo(f"{source}: fetch it in a step, at one commit")
        else:
            _local(source, what, here)


def _heredocs(here: Here) -> None:
    target = here.instruction.value.split()[-1]
    for heredoc in here.instruction.heredocs:
        path = here.scope.path(target + heredoc.name if target.endswith("/") else target)
        text = here.expanded(heredoc.text) if heredoc.expands else literal(heredoc.text)
        _place({"path": str(path), "content": text}, here)


def _url(source: str, what: Copied, here: Here) -> None:
    """A [[source]], and a step that copies it to where ADD puts it, readable by its owner only."""
    if source.partition("#")[0].endswith(".git"):
        here.todo(f"{source}: fetch it in a step, at one commit")
        return
    name = source.partition("?")[0].rstrip("/").rpartition("/")[2]
    pinned = here.flag("--checksum").removeprefix("sha256:")
    here.draft.sources.append({"url": source, "name": name} | ({"sha256": pinned} if pinned else {}))
    path = what.target / name if what.into else what.target
    here.draft.add_step(f"add {name}", f"mkdir -p {path.parent} && cp /imgasm/sources/{name} {path} && "
                        f"chmod {here.flag('--chmod') or '600'} {path}")  # fmt: skip
    here.draft.made.append(str(path))
    _owner_later(path, here)
    if not pinned:
        here.changed(f"{name} is pinned by its sha256 at the first build, in the lock file")


def _local(source: str, what: Copied, here: Here) -> None:
    found = _found(source.lstrip("/"), here.context)
    if not found:
        here.todo(f"{source} is not in {here.context}: put it there, and import again")
    for path in found:
        name = str(path.relative_to(here.context)) or "."
        if here.instruction.keyword == "ADD" and path.is_file() and tarfile.is_tarfile(path):
            _archive(name, what, here)
        elif path.is_dir():
            _told_of_modes(path, here)
            _place({"path": str(what.target), "from": name}, here)
        else:
            target = what.target / path.name if what.into or len(found) > 1 else what.target
            mode = stat.S_IMODE(path.stat().st_mode)
            table = {"path": str(target), "from": name} | ({"mode": f"{mode:04o}"} if mode != 0o644 else {})
            _place(table, here)


def _found(pattern: str, context: Path) -> list[Path]:
    paths = sorted(context.glob(pattern)) if re.search(r"[*?\[]", pattern) else [context / pattern]
    return [path for path in paths if path.exists() and path.resolve().is_relative_to(context.resolve())]


def _archive(name: str, what: Copied, here: Here) -> None:
    content = (here.context / name).read_bytes()
    option = next((letter for magic, letter in _COMPRESSIONS.items() if content.startswith(magic)), "")
    source = {"url": name, "name": PurePosixPath(name).name, "sha256": hashlib.sha256(content).hexdigest()}
    here.draft.sources.append(source)
    here.draft.add_step(f"unpack {name}", f"mkdir -p {what.target} && "
                        f"tar -x{option}f /imgasm/sources/{source['name']} -C {what.target}")  # fmt: skip
    here.draft.made.append(str(what.target))
    here.changed(f"{name} is unpacked by the container's own tar")


def _told_of_modes(folder: Path, here: Here) -> None:
    if (here.context / ".dockerignore").exists():
        here.changed(".dockerignore is not read: all that is in the directory is copied")
    if folder.samefile(here.context):
        here.changed("the context itself is copied, with the recipe and what is built in it")
    odd = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()
           and stat.S_IMODE(path.stat().st_mode) not in (0o644, 0o755)]  # fmt: skip
    if odd:
        here.changed(f"{odd[0].relative_to(here.context)} gets mode 0644, or 0755 if its owner may execute it"
                     f"{f', and so do {len(odd) - 1} more' if odd[1:] else ''}")  # fmt: skip


def _place(table: dict[str, Any], here: Here) -> None:
    """A [[file]], which is there before the first step."""
    mode, owner, path = here.flag("--chmod"), here.owner.rstrip(":"), PurePosixPath(table["path"])
    if _is_taken(path, here) and "from" in table and (folder := here.context / table["from"]).is_dir():
        for child in sorted(folder.iterdir()):
            _place({"path": str(path / child.name), "from": str(child.relative_to(here.context))}, here)
        return
    here.draft.files = [file for file in here.draft.files if file["path"] != table["path"]]  # the later one wins
    here.draft.files.append(table | ({"mode": mode.zfill(4)} if mode else {})
                            | ({"owner": owner} if owner and not here.draft.runs else {}))  # fmt: skip
    if owner and here.draft.runs:
        _owner_later(path, here)
    if any(str(path) in step["run"] for step in here.draft.runs if isinstance(step["run"], str)):
        here.changed(f"{path} is there before the first step, and an earlier RUN names it")


def _is_taken(path: PurePosixPath, here: Here) -> bool:
    return any(file["path"] == str(path) for file in here.draft.files)


def _owner_later(path: PurePosixPath, here: Here) -> None:
    """By a step: the owner may be one that an earlier step has made."""
    if here.owner:
        here.draft.add_step(f"owner of {path.name}", f"chown -R {here.owner} {path}")
