"""What a registry answered, as a value, and as an error that says what to do.

The shape of error bodies is distribution-spec's "Error Codes"; plain text and HTML pages of proxies occur as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from assembler.errors import RegistryError
from assembler.model.printable import printable
from assembler.registry.redact import redact

if TYPE_CHECKING:
    import httpx

ERROR_BODY_CAP: Final = 64 * 1024
_TEXT_CAP: Final = 300
_TEMPORARY_STATUSES: Final = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
_TEMPORARY_CODES: Final = frozenset({"UNAVAILABLE", "UNKNOWN", "TOOMANYREQUESTS"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that was read to its end. ``body`` of an error is cut at 64 KiB."""

    method: str
    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes = b""


class Refused(RegistryError):
    """The registry answered, but not what was asked for."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.status = reply.status
        self.errors = _read_errors(reply.body)
        super().__init__(self._sentence(), hint=_hint(self.status, self.codes))

    @property
    def codes(self) -> frozenset[str]:
        """The registry's own error codes, in capitals."""
        return frozenset(error.code.upper() for error in self.errors)

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later (go-containerregistry's lists)."""
        codes = self.codes
        named = bool(codes) and codes <= _TEMPORARY_CODES and self.status not in (401, 403)
        return named or self.status in _TEMPORARY_STATUSES

    def _sentence(self) -> str:
        import httpx

        said = "; ".join(f"{excerpt(error.code)}: {excerpt(error.message)}" for error in self.errors)
        said = said or excerpt(self.reply.body.decode("utf-8", "replace"))
        reason = httpx.codes.get_reason_phrase(self.status)
        asked = f"{self.reply.method} {redact(self.reply.url)}"
        return f"The registry answered {asked} with {self.status} {reason}".rstrip() + (f" ({said})" if said else "")


class ErrorItem(BaseModel):
    model_config = ConfigDict(extra="ignore")

    code: str = ""
    message: str = ""
    detail: Any = None


class _ErrorBody(BaseModel):
    errors: list[ErrorItem]


def _read_errors(body: bytes) -> list[ErrorItem]:
    try:
        return _ErrorBody.model_validate_json(body).errors
    except ValidationError:  # plain text (Docker Hub's 429), HTML (proxies), or nothing (answers to HEAD)
        return []


def excerpt(text: str) -> str:
    """Foreign text on one line, at most 300 characters of it."""
    line = " ".join(printable(text, instead=" ").split())
    return line if len(line) <= _TEXT_CAP else f"{line[:_TEXT_CAP]}..."


_HINTS_BY_CODE: Final = {
    "NAME_UNKNOWN": "The repository is not there, and this registry may not create it on push: create it first.",
    "NAME_INVALID": "The registry does not accept this repository name; check it against the registry's rules.",
    "MANIFEST_INVALID": "The registry does not take this manifest; `imgasm verify` checks the layout it came from.",
    "DIGEST_INVALID": "The bytes that arrived are not those that were sent; a proxy in between may change them.",
    "SIZE_INVALID": "Fewer or more bytes arrived than were sent; a proxy in between may cut bodies.",
    "TAG_INVALID": "The registry does not accept this tag, or tags are immutable here: choose another.",
}
_HINTS_BY_STATUS: Final = {
    400: "The registry's log may say more.",
    401: "Log in with `imgasm login`, or check that the credentials stored for this registry are still valid.",
    403: "These credentials lack the right to do this in this repository; ask the operator of the registry.",
    404: "Check the registry's host and the repository's name.",
    405: "The registry, or a proxy before it, does not allow this request.",
    409: "Something else is changing this repository, or its tags are immutable: try another tag.",
    413: "A proxy before the registry limits the size of a request (nginx: client_max_body_size; Cloudflare: 100 MB). "
         "Raise that limit, or send smaller pieces with --chunk-size.",
    416: "The registry lost track of the upload; if it has several replicas, they must share one secret.",
    429: "The registry limits how many requests it takes; wait, or log in to be allowed more.",
    507: "The registry's disk is full.",
}


def _hint(status: int, codes: frozenset[str]) -> str:
    for code in sorted(codes & _HINTS_BY_CODE.keys()):
        return _HINTS_BY_CODE[code]
    default = "The registry itself failed; its log says why." if status >= 500 else "The answer breaks the protocol."
    return _HINTS_BY_STATUS.get(status, default)
