"""What an engine says when it refuses, as an :class:`EngineError` with what to do about it.

The symptoms are stderr texts of docker 20.10 to 28 and podman 4.3, each seen in real life.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assembler.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_ALLOWED: Final = ("This user has no access to the engine's socket. Join its group (sudo usermod -aG docker $USER, "
                      "then log in again), use sudo, or use rootless podman (--engine podman).")

_ABSENT: Final = ("no such image", "reference does not exist", "image not known")

_REMEDIES: Final[tuple[tuple[str, str | None], ...]] = (
    ("exec: \"/bin/sh\"", "The base image needs a /bin/sh, which keeps the container running."),
    ("unable to apply caps",
     "This machine can't grant every capability, so privileged containers can't start. Set privileged = false and "
     "name what the steps need in cap_add, or use podman with runc (scripts/with-engine sets that up)."),
    ("rlimit",
     "The engine asks for higher limits than this user may set. Lower default_ulimits in podman's containers.conf, "
     "for example to \"nofile=8192:8192\" and \"nproc=8192:8192\", or build without it: --engine host."),
    ("cgroups in hybrid mode",
     "crun does not work with this machine's cgroups, runc does: set runtime = \"runc\" in podman's containers.conf, "
     "pass --runtime runc to podman, or build without it: --engine host."),
    ("no space left on device", "Make room on the engine's disk: imgasm clean, then docker system prune."),
    ("permission denied while trying to connect", NOT_ALLOWED),
    ("connect: permission denied", NOT_ALLOWED),
    ("cannot connect to the docker daemon", "Start it, or let scripts/with-engine start a private one."),
    ("unauthorized", "Log in to the registry with the engine's own client: docker login, podman login."),
    ("permission denied", None),  # of a file, a device, a mount: whatever it is, a login does not help
    ("denied", "Check the image's name, and log in with the engine's own client: docker login, podman login."),
    ("no such host", "Check the registry's name, and the engine's network and DNS."),
    *((symptom, "Pull it first, or check its name; the engine has no image of that name.") for symptom in _ABSENT),
    ("empty export", "Docker can't save an image without layers; take it from a registry or a layout."),
    ("manifest unknown", "Check the image's tag or digest."),
    ("not found", "Check the name: the engine does not know it."),
)

_ADVICE: Final = ("Run '", "Error: failed to start containers: ")
"""Lines that docker puts after the reason."""


def explain(what: str, stderr: str) -> EngineError:
    """``what`` is a sentence's beginning like ``docker could not start the container``."""
    lines = [line for line in stderr.splitlines() if line.strip() and not line.startswith(_ADVICE)]
    reason = lines[-1].strip() if lines else "it gave no reason"
    known = stderr.lower()
    hint = next((remedy for symptom, remedy in _REMEDIES if symptom in known), None)
    return EngineError(f"{what}: {reason}", hint=hint, detail="\n".join(lines[-10:-1]) or None)


def is_of_absent_image(error: EngineError) -> bool:
    """Whether the engine says that it has no such image."""
    return any(symptom in error.message.lower() for symptom in _ABSENT)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns what python-on-whales raises inside into an :class:`EngineError`."""
    from python_on_whales.exceptions import DockerException

    try:
        yield
    except DockerException as error:
        raise explain(what, error.stderr or error.stdout or "") from error
