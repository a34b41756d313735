"""RUN --mount: caches, secrets and the SSH agent have tables of their own in a recipe."""

from __future__ import annotations

import re
from typing import Any

from assembler.dockerfile.scope import Here


def add_mounts(step: dict[str, Any], here: Here) -> None:
    """What the flags of a RUN ask for, into its ``step`` and the recipe."""
    for flag in here.instruction.flags:
        name, _, value = flag.partition("=")
        if name == "--mount":
            _mount(dict(option.partition("=")[::2] for option in value.strip('"').split(",")), step, here)
        elif name == "--network":
            here.changed(f"{flag}: the network is one for all steps, [container] says which")
        elif name == "--security" and value == "insecure":
            here.draft.container["privileged"] = True
            here.changed("--security=insecure: all steps are privileged")


def _mount(options: dict[str, str], step: dict[str, Any], here: Here) -> None:
    kind = options.get("type", "bind")
    target = next((options[key] for key in ("target", "dst", "destination") if key in options), "")
    path = str(here.scope.path(here.expanded(target))) if target else ""
    if kind == "cache":
        _cache(path, options, here)
    elif kind == "secret":
        _secret(path, options, step, here)
    elif kind == "ssh":
        step["ssh"] = True
    elif kind == "tmpfs":
        here.draft.container["scratch"] = sorted({*here.draft.container.get("scratch", ()), path})
    else:
        here.todo(f"--mount=type={kind} of {options.get('source', '.')}: a recipe mounts [[source]] files only; copy "
                  "what is needed with a [[file]]")  # fmt: skip


def _cache(path: str, options: dict[str, str], here: Here) -> None:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", options.get("id") or path).strip("-.") or "cache"
    if all(cache["path"] != path for cache in here.draft.caches):
        here.draft.caches.append({"name": name, "path": path, "shared": options.get("sharing", "shared") == "shared"})
    here.changed(f"the cache {path} is there for all steps, and not in the image")


def _secret(path: str, options: dict[str, str], step: dict[str, Any], here: Here) -> None:
    name = options.get("id") or path.rpartition("/")[2]
    variable = re.sub(r"\W", "_", name).upper()
    known = next((secret for secret in here.draft.secrets if secret["name"] == name), None)
    if known is None:
        known = {"name": name, "env": variable, "steps": []}
        if "env" in options:
            known["variable"] = options["env"]
        here.draft.secrets.append(known)
    known["steps"].append(step["name"])
    here.todo(f"the secret {name}: its value is expected in the variable {variable}")
    if path and path != f"/run/secrets/{name}":
        here.todo(f"the secret {name} is at /run/secrets/{name}, not at {path}")
