"""The kinds of value a recipe has: what each must look like, and a message that shows a right one."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, NoReturn
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from assembler.errors import ImgasmError
from assembler.model.duration import parse_duration
from assembler.model.globs import translate
from assembler.model.place import TRANSPORTS
from assembler.model.reference import Reference
from assembler.model.size import parse_size
from assembler.model.timestamp import parse_created

_CAPABILITY: Final = re.compile(r"[A-Z_]+")
_ENV_NAME: Final = re.compile(r"[^=\s\0]+")
_MODE: Final = re.compile(r"0?[0-7]{3,4}")
_PERCENT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?%")
_PORT: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(?:tcp|udp|sctp))?")


VARIABLE: Final[JsonSchemaValue] = {"type": "string", "pattern": r"\{\{"}
"""Passes where an enumeration would refuse it: a string that holds a ``{{ variable }}``."""


def fail(message: str) -> NoReturn:
    # Pydantic reads braces as fields of a template, so the message travels as one.
    raise PydanticCustomError("recipe", "{message}", {"message": message})


def _matching(pattern: str, expected: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        return text if compiled.fullmatch(text) else fail(f"{text!r} is not {expected}")

    return AfterValidator(check)


def _container_path(text: str) -> str:
    path = PurePosixPath(text)
    if not path.is_absolute() or ".." in path.parts or "\0" in text:
        fail(f"{text!r} is not an absolute path in the container, such as /opt/nvidia")
    return str(path)


def _scratch_path(text: str) -> str:
    if not PurePosixPath(_container_path(text)).parts[1:]:
        fail("the root can't be scratch: nothing would be left for a layer; name a directory, such as /build")
    return str(PurePosixPath(text))


def absolute_glob(text: str) -> str:
    if not text.startswith("/") or ".." in text.split("/"):
        fail(f"{text!r} is not an absolute glob, such as /opt/nvidia/**")
    try:
        re.compile(translate(text))
    except re.error as error:
        fail(f"{text!r} is not a glob: its set in brackets can't be read ({error.msg}); a bracket itself is [[]")
    return text


def _reference(text: str) -> str:
    try:
        Reference.parse(text)
    except ImgasmError as error:
        tag = text.rpartition("/")[2].partition(":")[2]
        fail(error.message + ("; of a variable, {{ name | tag }} makes one" if "+" in tag else ""))
    return text


def _source_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("", "http", "https", "file") or (parts.scheme.startswith("http") and not parts.hostname):
        fail(f"{text!r} can't be fetched; give an http, https or file URL, or a path relative to the recipe")
    return text


def _onto(text: str) -> str:
    return text if text in ("base", "scratch") else _baseline(text)


def _baseline(text: str) -> str:
    # A path says that it is one by its beginning, as on Docker's command line: a/b is a repository.
    return text if text.startswith(("/", "./", "../", *TRANSPORTS)) else _reference(text)


def _created(text: str) -> str:
    try:
        return parse_created(text)
    except ValueError as error:
        fail(str(error))


def _capability(text: str) -> str:
    short = text.removeprefix("CAP_")
    return short if _CAPABILITY.fullmatch(short) else fail(f"{text!r} is not a capability, such as SYS_MODULE")


def _environment(env: dict[str, str]) -> dict[str, str]:
    for key in env:
        if not _ENV_NAME.fullmatch(key):
            fail(f"{key!r} is not a name for an environment variable")
    return env


def _port(text: str) -> str:
    match = _PORT.fullmatch(text)
    numbers = [int(number) for number in match.groups() if number] if match else []
    if not numbers or not all(0 < number < 65536 for number in numbers) or numbers != sorted(numbers):
        fail(f'{text!r} is not a port; write it as "8080" or "53/udp"')
    return text


def _script(value: Any) -> str | list[str]:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value) and value[0]:
        return value
    fail('expected a script as a string, or a list of strings to execute: ["make", "-C", "/build"]')


def _mode(value: Any) -> int:
    if isinstance(value, str) and _MODE.fullmatch(value):
        return int(value, 8)
    fail(f'{value!r} is not a mode; write the octal digits as a string: "0755"')


def _size(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = parse_size(value)
        except ValueError as error:
            fail(str(error))
    if isinstance(value, bool) or not isinstance(value, int):
        fail('expected a size: "60MB", "60MiB", or a whole number of bytes')
    return value if value > 0 else fail("must be more than 0; leave the key out for no limit")


def _percent(value: Any) -> float:
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        return float(match[1])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        fail(f'{value!r} is not a share; write it as "5%", or as a number of percent')
    return float(value)


def _duration(value: Any) -> float:
    seconds = _parse_duration(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        fail('expected a duration: "30m", or a number of seconds')
    return float(seconds) if 0 < seconds < math.inf else fail("must be more than 0; leave the key out for no limit")


def _parse_duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        fail(f'{text!r} is not a duration; write it as "30m", "1h30m", "90s" or a number of seconds')


def _any_of(*schemas: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(schemas)})


Text = Annotated[str, _matching(r"(?s).*\S.*", "a value: it is empty")]
Name = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a name: letters, digits, '.', '_' and '-' only")]
VariableName = Annotated[str, _matching(r"[A-Za-z_][A-Za-z0-9_]*", "a variable's name: letters, digits and '_' only")]
FileName = Annotated[str, _matching(r"(?!\.{1,2}$)[^/\0]+", "a file name: it may hold no slash")]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "a sha256: 64 lower-case hex digits")]
Signal = Annotated[str, _matching(r"SIG[A-Z][A-Z0-9+-]*|[0-9]+", "a signal; write it as SIGTERM or 15")]
KernelName = Annotated[str, _matching(
    r"\.{0,2}/[^\0]+|[A-Za-z0-9][A-Za-z0-9.+~_-]*",
    "a kernel: its release, an absolute path in the container, or a path beside the recipe that begins with ./")]
Owner = Annotated[str, _matching(r"[^:\s]+(?::[^:\s]+)?", 'an owner; write it as "1000", "app" or "app:users"')]
ContainerPath = Annotated[str, AfterValidator(_container_path)]
ScratchPath = Annotated[str, AfterValidator(_scratch_path)]
Glob = Annotated[str, AfterValidator(absolute_glob)]
ImageReference = Annotated[str, AfterValidator(_reference)]
SourceUrl = Annotated[str, _matching(r"(?s).*\S.*", "a value: it is empty"), AfterValidator(_source_url)]
Baseline = Annotated[str, AfterValidator(_baseline)]
Onto = Annotated[str, AfterValidator(_onto)]
Created = Annotated[str, AfterValidator(_created)]
Capability = Annotated[str, AfterValidator(_capability)]
Environment = Annotated[dict[str, str], AfterValidator(_environment)]
Port = Annotated[str, AfterValidator(_port)]
Script = Annotated[str | list[str], PlainValidator(_script), _any_of(
    {"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1})]
Mode = Annotated[int, PlainValidator(_mode), WithJsonSchema({"type": "string"})]
Size = Annotated[int, PlainValidator(_size), _any_of({"type": "string"}, {"type": "integer", "exclusiveMinimum": 0})]
Percent = Annotated[float, PlainValidator(_percent), _any_of({"type": "string"}, {"type": "number", "minimum": 0})]
Duration = Annotated[float, PlainValidator(_duration), _any_of(
    {"type": "string"}, {"type": "number", "exclusiveMinimum": 0})]
