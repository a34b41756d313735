"""A build's record as one page that needs nothing else: no network, no server, no further file.

Names in a layer come from anywhere. The record goes into the page as compressed JSON in base64, so nothing in it can be
markup (and 100,000 files are 1.5 MB instead of 5.5); the page's program writes names only as text; and a content
security policy allows just the scripts and the style that stand here, by their hashes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from assembler.model.printable import printable
from assembler.report import step_colors
from assembler.report.picture import timeline_svg

if TYPE_CHECKING:
    from assembler.report.build_record import BuildRecord

_PROGRAM: Final = ("format.js", "tree.js", "treemap.js", "files.js", "sections.js", "page.js")
_STYLE: Final = ("page.css", "picture.css")
_LIBRARY: Final = "d3-hierarchy.min.js"
"""d3-hierarchy 3.1.3, unchanged; its licence (ISC) lies beside it."""

_FIELD: Final = re.compile(r"\{([a-z-]+)\}")


def page(record: BuildRecord) -> str:
    style, program, library = _assets(_STYLE), _assets(_PROGRAM), _assets((_LIBRARY,))
    fields = {
        "title": html.escape(printable(f"{record.recipe.name}: size report")),
        "script-hashes": f"{_hash(library)} {_hash(program)}",
        "style-hashes": _hash(style),
        "style": style,
        "timeline": timeline_svg(record),
        "data": _data(record),
        "library": library,
        "program": program,
    }
    return _FIELD.sub(lambda field: fields[field[1]], _assets(("page.html",)))


def _data(record: BuildRecord) -> str:
    colors = json.dumps({"steps": step_colors.STEPS, "none": step_colors.NO_STEP})
    value = f'{{"palette":{colors},"record":{record.model_dump_json()}}}'
    return base64.b64encode(gzip.compress(value.encode(), mtime=0)).decode()


@cache
def _assets(names: tuple[str, ...]) -> str:
    folder = files("assembler.report").joinpath("assets")
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
