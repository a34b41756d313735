"""What ``imgasm build`` does once the last step has ended: from a container's directories to a finished layout.

It tells how many seconds that took. A build's interpreter has started, and its modules are loaded, long before.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from assembler.changeset.capture import changeset, of_overlay
from assembler.changeset.path_rules import Patterns
from assembler.image.assemble import assemble
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.layout import Layout
from assembler.layer.compress import compressor
from assembler.layer.write_layer import write_layer
from assembler.model.platform import Platform
from assembler.model.reference import Reference
from assembler.model.run_config import RunConfig


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("upper")
    parser.add_argument("lower")
    parser.add_argument("layout", type=Path)
    parser.add_argument("codec")
    parser.add_argument("level", type=int)
    wanted = parser.parse_args()
    start = time.perf_counter()
    layout = Layout.create(wanted.layout)
    capture = of_overlay(os.fsencode(wanted.upper), [os.fsencode(wanted.lower)], [])
    entries = changeset(capture, None, Patterns()).changeset.entries
    chosen = compressor(wanted.codec, wanted.level, file_size=entries.content_size // max(1, len(entries)))
    with layout.new_blob(hashed=False) as blob:
        layer = write_layer(entries, blob, chosen)
        blob.commit(layer.descriptor.digest)
    new = NewLayer(layer.descriptor, layer.diff_id)
    image = assemble(layout, None, new, ImageSettings(RunConfig(), Platform("linux", "amd64")))
    layout.tag(image.descriptor, Reference.parse("localhost/bench:latest"))
    seconds = time.perf_counter() - start
    told = {"seconds": seconds, "blob": layer.descriptor.size, "tar": layer.size, "entries": layer.entries}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
