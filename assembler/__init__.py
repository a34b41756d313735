"""imgasm: many steps, one container, one minimal OCI layer.

The distribution is called imgasm, and its package ``assembler``. This is what it offers to programs; docs/library.md in
the repository shows how these go together. Whatever is not named in ``__all__`` may change with any version.

Nothing here prints, ends the process, or reads the environment. What goes wrong is raised as an :class:`ImgasmError`.
Each name is imported when it is used for the first time: ``import assembler`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from assembler.version import __version__

if TYPE_CHECKING:
    from assembler.api import build, load_recipe, open_image, put_image, size_report
    from assembler.commands.job import BuildOptions
    from assembler.errors import (
        BudgetExceeded,
        CellsFailed,
        ChangesetError,
        EngineError,
        FileError,
        ImageError,
        ImgasmError,
        ModulesRefused,
        RecipeError,
        RegistryError,
        SourceError,
        StepFailed,
        UsageError,
    )
    from assembler.model.digest import Digest
    from assembler.model.place import Place
    from assembler.model.platform import Platform
    from assembler.model.reference import Reference
    from assembler.places.held_image import HeldImage
    from assembler.places.put import PutOptions
    from assembler.places.world import World
    from assembler.places.world_settings import WorldSettings
    from assembler.progress import Progress, SilentProgress, Task
    from assembler.recipe.recipe import Recipe
    from assembler.registry.connection_settings import Tls
    from assembler.report.build_record import BuildRecord
    from assembler.report.build_records import Builds
    from assembler.report.image_layers import LayersReport

__all__ = [
    "BudgetExceeded", "BuildOptions", "BuildRecord", "Builds", "CellsFailed", "ChangesetError", "Digest", "EngineError",
    "FileError", "HeldImage", "ImageError", "ImgasmError", "LayersReport", "ModulesRefused", "Place", "Platform",
    "Progress", "PutOptions", "Recipe", "RecipeError", "Reference", "RegistryError", "SilentProgress", "SourceError",
    "StepFailed", "Task", "Tls", "UsageError", "World", "WorldSettings", "__version__", "build", "load_recipe",
    "open_image", "put_image", "size_report",
]  # fmt: skip

_MODULES: Final = {
    "api": ("build", "load_recipe", "open_image", "put_image", "size_report"),
    "commands.job": ("BuildOptions",),
    "errors": (
        "BudgetExceeded", "CellsFailed", "ChangesetError", "EngineError", "FileError", "ImageError", "ImgasmError",
        "ModulesRefused", "RecipeError", "RegistryError", "SourceError", "StepFailed", "UsageError",
    ),
    "model.digest": ("Digest",),
    "model.place": ("Place",),
    "model.platform": ("Platform",),
    "model.reference": ("Reference",),
    "places.held_image": ("HeldImage",),
    "places.put": ("PutOptions",),
    "places.world_settings": ("WorldSettings",),
    "places.world": ("World",),
    "progress": ("Progress", "SilentProgress", "Task"),
    "recipe.recipe": ("Recipe",),
    "registry.connection_settings": ("Tls",),
    "report.build_records": ("Builds",),
    "report.image_layers": ("LayersReport",),
    "report.build_record": ("BuildRecord",),
}  # fmt: skip
_MODULE_OF: Final = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
