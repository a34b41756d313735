"""What a token may be used for: ``repository:<name>:<action>,<action>`` (distribution, "Token Scope")."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ACTIONS = ("pull", "push", "delete")


def pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def merge(scopes: Iterable[str]) -> tuple[str, ...]:
    """One scope for each repository, in the order of first mention (some token servers read only the first).

    Scopes with actions that we do not know (Cloudsmith's ``any``), or of another shape, stay as they are.
    """
    merged: dict[str, set[str] | None] = {}
    for scope in scopes:
        resource, _, actions = scope.rpartition(":")
        wanted = set(actions.split(","))
        if not resource or not wanted <= set(_ACTIONS):
            merged.setdefault(scope, None)
            continue
        known = merged.setdefault(resource, set())
        if known is not None:
            known |= wanted
    return tuple(key if actions is None else f"{key}:{_joined(actions)}" for key, actions in merged.items())


def _joined(actions: set[str]) -> str:
    return ",".join(action for action in _ACTIONS if action in actions)
