"""Whatever the images are, an index of them is one index, and nobody gets modules by accident."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assembler.errors import ImageError, ModulesRefused
from assembler.image.annotations import AXIS, KERNEL_RELEASES
from assembler.image.assemble import compose
from assembler.image.choose_kernel import Node, choose_for
from assembler.image.choose_platform import choose
from assembler.image.compose_index import compose_index
from assembler.image.config import ImageSettings, NewLayer
from assembler.image.layout import Layout
from assembler.image.signpost import is_signpost, with_signposts
from assembler.model import media_types
from assembler.model.descriptor import Descriptor
from assembler.model.platform import Platform
from assembler.model.run_config import RunConfig

if TYPE_CHECKING:
    from assembler.image.image import Image

PLATFORMS = [Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm64", "v8"),
             Platform("linux", "arm", "v7")]  # fmt: skip
KERNELS = ["6.1.0-9", "6.1.0-10", "6.12"]
LAYER = Descriptor.of(media_types.OCI_LAYER, b"layer")


def image(platform: Platform, kernels: list[str], flavour: str) -> Image:
    told = {AXIS + "flavour": flavour, **({KERNEL_RELEASES: " ".join(kernels)} if kernels else {})}
    return compose(None, NewLayer(LAYER, LAYER.digest), ImageSettings(RunConfig(), platform, told))


IMAGES = st.lists(st.builds(image, st.sampled_from(PLATFORMS), st.lists(st.sampled_from(KERNELS), unique=True),
                            st.sampled_from(["closed", "open"])),
                  min_size=1, max_size=8, unique_by=lambda found: found.descriptor.digest)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return Layout.create(tmp_path_factory.mktemp("store") / "layout")


@given(images=IMAGES, seed=st.integers())
def test_one_index_in_whatever_order_and_no_modules_for_those_who_do_not_choose(
    store: Layout, images: list[Image], seed: int
) -> None:
    listed = with_signposts(images, store)
    index = compose_index(listed)
    assert index == compose_index(with_signposts(random.Random(seed).sample(images, len(images)), store))
    assert sorted(one.descriptor.digest for one in images) == sorted(
        one.descriptor.digest for one in listed if not is_signpost(one))  # fmt: skip
    by_digest = {one.descriptor.digest: one for one in listed}
    for platform in PLATFORMS:
        alike = [one for one in images if one.platform.normal() == platform.normal()]
        if alike:
            taken = by_digest[choose(index.children(), platform).digest]
            assert is_signpost(taken) or (alike == [taken] and KERNEL_RELEASES not in taken.manifest["annotations"])


@given(images=IMAGES, platform=st.sampled_from(PLATFORMS), kernel=st.sampled_from(KERNELS))
def test_what_is_chosen_is_for_the_kernel(store: Layout, images: list[Image], platform: Platform, kernel: str) -> None:
    entries = compose_index(with_signposts(images, store)).children()
    fitting = {one.descriptor.digest for one in images if platform.runs(one.platform)
               and kernel in one.manifest["annotations"].get(KERNEL_RELEASES, "").split()}  # fmt: skip
    node = Node(platform, kernel)
    if len(fitting) == 1:
        assert {choose_for(entries, node, "it").digest} == fitting
    else:
        with pytest.raises(ImageError if fitting else ModulesRefused):
            choose_for(entries, node, "it")
