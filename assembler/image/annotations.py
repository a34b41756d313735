"""Annotation keys (image-spec annotations.md; containerd's and Docker's own name for an image in a layout)."""

from typing import Final

REF_NAME: Final = "org.opencontainers.image.ref.name"
"""The tag. Valid only on descriptors in index.json; alone it makes podman call the image localhost/<tag>:latest."""

FULL_NAME: Final = "io.containerd.image.name"
"""The whole reference. Docker, containerd and podman name the image by it."""

TITLE: Final = "org.opencontainers.image.title"
"""On a layer of an artifact: the name of the file that it is."""

IMGASM: Final = "io.imgasm."
"""What imgasm itself says of an image."""

IMAGE_NAME: Final = "io.imgasm.image.name"
"""On a descriptor in index.json: what the recipe calls the image, which its reference need not tell."""

KERNEL_RELEASES: Final = "io.imgasm.kernel.releases"
"""On a manifest, and as a label: the kernels that take all of the image's modules, with a space between them."""

AXIS: Final = "io.imgasm.axis."
"""On a manifest, followed by a name: what an image of a fleet is of that, as its driver or flavour."""

SIGNPOST: Final = "io.imgasm.signpost"
"""On a manifest, and as a label: nothing to run, but words for those who did not choose from the index."""

INPUTS: Final = "io.imgasm.inputs"
"""On the manifest of a fleet's image: a digest of all that it came from. The same inputs need no other build."""

CREATED: Final = "org.opencontainers.image.created"
REVISION: Final = "org.opencontainers.image.revision"
VERSION: Final = "org.opencontainers.image.version"
BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"

NOT_INHERITED: Final = frozenset({REF_NAME, FULL_NAME, INPUTS, CREATED, REVISION, VERSION, BASE_NAME, BASE_DIGEST})
"""What a base says about itself, which would be wrong of an image on top of it."""

DOCKER_ATTESTATION: Final = ("vnd.docker.reference.type", "attestation-manifest")
"""Marks an index entry that is not an image but BuildKit's statement about one."""
