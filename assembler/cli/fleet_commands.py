"""Commands about many images for many machines: index, choose."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.cli import shared_options
from assembler.cli.option_groups import takes_groups
from assembler.cli.output import emit, emit_json
from assembler.cli.registry_options import RegistryOptions
from assembler.cli.shared_options import Printing
from assembler.errors import UsageError
from assembler.model.size import human

if TYPE_CHECKING:
    from assembler.image.choose_kernel import Node
    from assembler.model.platform import Platform


@dataclass(frozen=True)
class Machine:
    """The machine that an image is for."""

    kernel: Annotated[
        str | None,
        typer.Option(metavar="RELEASE", help="The kernel that the machine runs, as uname -r prints it.",
                     show_default="this machine's"),
    ] = None  # fmt: skip
    platform: Annotated[
        str | None, typer.Option(metavar="OS/ARCH", help="Its platform.", show_default="this machine's")
    ] = None
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What else it must be: driver=535, or a whole annotation. Can be "
                     "repeated."),
    ] = None  # fmt: skip

    def node(self, here: Platform) -> Node:
        from assembler.image.choose_kernel import Node
        from assembler.kernel.running_kernel import running_release

        pairs = [text.partition("=") for text in self.where or ()]
        if wrong := next((name for name, equals, _ in pairs if not equals or not name), None):
            raise UsageError(f"--where {wrong} needs a name and a value", hint="Write it as --where driver=535.")
        platform = shared_options.platform(self.platform) or here
        return Node(platform, self.kernel or running_release(), {name: value for name, _, value in pairs})


def register(app: typer.Typer) -> None:
    for command in (index, choose):
        app.command()(takes_groups(command))


def index(
    *,
    target: Annotated[str, typer.Argument(metavar="REF", help="Where the index goes: a reference, or a layout.")],
    sources: Annotated[
        list[str],
        typer.Option("--from", metavar="PLACE", help="Where images are: a reference, a layout with all that it holds, "
                     "another index. Can be repeated."),
    ],
    copy_base_layers: shared_options.CopyBaseLayers = False,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Make one index of images that are somewhere already: one reference for a fleet of machines.

    Each entry has its image's platform, the kernels that take its modules, and its annotations. imgasm choose finds a
    machine's image by these. A plain docker pull gets a small image that says so, for of several entries that fit an
    engine takes the first.

    Only manifests and configs are read. Layers stay where they are: a registry mounts those of its other repositories,
    and a layout says where they are. The same images give the same index, in whatever order they are named.
    """
    from assembler.commands.index import index
    from assembler.model.place import Place
    from assembler.places.check_place import named_place

    world = connection.world(printing.terminal())
    made = index(Place.target(target), [named_place(one) for one in sources], world, copy_far=copy_base_layers)
    entries = made.index.children()
    if printing.as_json:
        emit_json(json.dumps({"target": target, "digest": str(made.index.descriptor.digest), "sent": made.sent,
                              "manifests": [entry.to_json() for entry in entries]}, indent=1))  # fmt: skip
    else:
        emit(f"{target}  {made.index.descriptor.digest}  {len(entries)} entries, {human(made.sent)} sent")


def choose(
    *,
    what: Annotated[str, typer.Argument(metavar="REF", help="An index: a reference, or a layout.")],
    machine: Machine,
    fallback: Annotated[
        str | None,
        typer.Option(metavar="REF", help="What to print where no image is for the machine: exit code 12 without it."),
    ] = None,
    connection: RegistryOptions,
    printing: Printing,
) -> None:
    """Print which image of an index is for a machine, by its digest.

    That is the one whose modules load on the machine's kernel: docker pull "$(imgasm choose REF)". Of a registry only
    the index is read.
    """
    from assembler.commands.choose import choose
    from assembler.places.check_place import named_place

    world = connection.world(printing.terminal())
    node = machine.node(world.platform)
    chosen = choose(named_place(what), node, named_place(fallback) if fallback else None, world)
    if printing.as_json:
        emit_json(json.dumps({"name": chosen.name, "kernel": node.kernel, "is_fallback": chosen.is_fallback,
                              **chosen.entry.to_json()}, indent=1))  # fmt: skip
    else:
        emit(chosen.name)
