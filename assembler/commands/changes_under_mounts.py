"""Changes under the engine's own mounts can't be part of an image: an error at once, not hours later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.changeset.path_rules import Rules, literal_head
from assembler.errors import ChangesetError
from assembler.model.node import shown

if TYPE_CHECKING:
    from assembler.engine.session import Session
    from assembler.recipe.recipe import Recipe


def refuse_changes_under_mounts(session: Session, recipe: Recipe, writer: str) -> None:
    """ChangesetError if ``writer`` ("step 'install'") changed something that an image should have and can't get.

    Paths that every image prunes or does not keep may change.
    """
    prune = Rules.of_prune(recipe.prune.presets, recipe.prune.paths)
    keeps = [Rules.of_patterns(image.keep) for image in recipe.images]
    for path in session.changed_mounts():
        if not _covers(prune, path) and any(not keep or _reaches(keep, path) for keep in keeps):
            raise ChangesetError(
                f"{writer} changed {shown(path)}, where {session.info.name} mounts something of its own: "
                "no image can get the change",
                hint=f'Write another path; or, if no image needs it, name "{shown(path)}" in [prune] paths or, '
                     "if it is a directory, in [container] scratch.",
            )  # fmt: skip


def _covers(rules: Rules, path: bytes) -> bool:
    """Whether a rule matches ``path``, or all that is in it: of a directory nobody knows which of its files changed."""
    return bool(rules.match(path) or rules.match(path + b"/*"))


def _reaches(rules: Rules, path: bytes) -> bool:
    below = path + b"/"
    return _covers(rules, path) or any((literal_head(rule.pattern) + b"/").startswith(below) for rule in rules.rules)
