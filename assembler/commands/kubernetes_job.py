"""A plan as a Kubernetes Job, whose pods build one cell each: no daemon, no socket, no privileged pod.

No cluster was there to run it: the document is held against Kubernetes' published schemas, and no more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from assembler.errors import RecipeError
from assembler.fleet.task import FINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.recipe.matrix_plan import Kubernetes, MatrixPlan

Json = dict[str, Any]

_PLAN, _CACHE, _AUTH, _WORK = "/plan", "/cache", "/auth", "/var/tmp"
_MOUNTS: Final = {"plan": _PLAN, "cache": _CACHE, "work": _WORK, "auth": _AUTH}


def indexed_job(plan: MatrixPlan, arguments: Sequence[str]) -> Json:
    """``arguments`` are imgasm's for every cell. RecipeError where the plan has no table for Kubernetes."""
    wanted = plan.kubernetes
    if wanted is None:
        raise RecipeError(f"{plan.file.name} says nothing of Kubernetes",
                          hint='Name the image that has imgasm in it: [kubernetes] image = "...".')  # fmt: skip
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _name(plan)},
        "spec": {
            "completionMode": "Indexed",
            "completions": len(plan.cells),
            "parallelism": min(wanted.parallelism, len(plan.cells)),
            "backoffLimitPerIndex": plan.retries,
            "maxFailedIndexes": len(plan.cells),  # one that fails lets the others go on
            "podFailurePolicy": {"rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailIndex",
                 "onExitCodes": {"containerName": "imgasm", "operator": "In", "values": sorted(FINAL)}},
            ]},
            "template": {"spec": {
                "restartPolicy": "Never",
                "hostUsers": False,
                "automountServiceAccountToken": False,
                "containers": [_container(plan, wanted, arguments)],
                "volumes": list(_volumes(plan, wanted)),
            }},
        },
    }  # fmt: skip


def _name(plan: MatrixPlan) -> str:
    """A label as DNS has it (RFC 1123)."""
    return re.sub(r"[^a-z0-9-]+", "-", plan.name.lower()).strip("-")[:63]


def _container(plan: MatrixPlan, wanted: Kubernetes, arguments: Sequence[str]) -> Json:
    """Root in the pod's own user namespace may mount an overlay there; on the node it is nobody."""
    auth = ["--authfile", f"{_AUTH}/config.json"] if wanted.registry_secret else []
    variables = sorted(plan.from_environment.values())
    return {
        "name": "imgasm",
        "image": wanted.image,
        "command": ["imgasm", "matrix", f"{_PLAN}/{plan.file.name}", "--cell", "@$(JOB_COMPLETION_INDEX)",
                    *arguments, *auth],
        "env": [{"name": "IMGASM_CACHE", "value": _CACHE}],
        **({"envFrom": [{"secretRef": {"name": f"{_name(plan)}-variables"}}]} if variables else {}),
        "securityContext": {
            "capabilities": {"add": ["SYS_ADMIN"]},
            "procMount": "Unmasked",
            "seccompProfile": {"type": "Unconfined"},
        },
        "volumeMounts": [{"name": volume["name"], "mountPath": _MOUNTS[volume["name"]],
                          **({"readOnly": True} if volume["name"] in ("plan", "auth") else {})}
                         for volume in _volumes(plan, wanted)],
    }  # fmt: skip


def _volumes(plan: MatrixPlan, wanted: Kubernetes) -> Iterator[Json]:
    yield {"name": "plan", "configMap": {"name": wanted.config_map or f"{_name(plan)}-plan"}}
    claim = {"persistentVolumeClaim": {"claimName": wanted.cache_claim}}
    yield {"name": "cache", **(claim if wanted.cache_claim else {"emptyDir": {}})}
    yield {"name": "work", "emptyDir": {}}
    if wanted.registry_secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        yield {"name": "auth", "secret": {"secretName": wanted.registry_secret, "items": items}}
