"""The JSON Schema of what ``--json`` prints about sizes: builds, an image, or a comparison, and of what
kernels say to an image's modules, told apart by ``kind``."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from assembler.report.build_record import BuildRecord
from assembler.report.build_records import Builds
from assembler.report.compare import Comparison
from assembler.report.image_layers import LayersReport
from assembler.report.kernel_verdicts import KernelsReport


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12. ``format`` changes when a reader of the former one would be wrong."""
    reports: TypeAdapter[Any] = TypeAdapter(BuildRecord | Builds | LayersReport | Comparison | KernelsReport)
    document = reports.json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "imgasm size report", **document}


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
