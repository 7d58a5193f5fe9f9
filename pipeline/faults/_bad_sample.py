"""A sample that cannot be delivered."""

from typing import Literal, NamedTuple

from foveal.pipeline.decoding import DecodeFault
from foveal.pipeline.fields import MemberFault

FaultKind = Literal[DecodeFault, MemberFault, "unreadable_member"]
"""What is wrong with a sample, in one word.

``corrupt``: the image cannot be decoded. ``missing_member``: it has no image, or not a label that was asked for.
``bad_label``: a label does not hold what its name says, or does not belong to the image. ``unreadable_member``: the tar
does not hold a member in one readable piece, or holds it twice. ``too_large`` and ``unsupported``: nothing is wrong with
the file, but the present settings refuse it (``max_pixels``), or a package or setting to read it is missing.
"""


class BadSample(NamedTuple):
    """A sample that could not be delivered. Reads as ``url: key: reason``."""

    url: str
    """Its shard, as ``Shards.urls`` spells it."""

    key: str
    """Its key in the shard."""

    reason: str
    """What is wrong, such as "image is empty: 0 bytes"; the text up to the colon is the same for all samples with this fault."""

    kind: FaultKind
    """The same in one word."""

    field: str = ""
    """The field that is bad, by its member extensions, such as "jpg;jpeg;png;webp"; "" for the whole sample."""

    number_in_shard: int = -1
    """Its number among the samples of its shard, from 0: several may have one key. -1 if that is not known."""

    digest: str = ""
    """A hash of what was bad: of the image and the field's members. "" if it could not be read, or is not known."""

    @property
    def fault(self) -> str:
        """The reason without the details of this sample, for counting."""
        return self.reason.partition(":")[0]

    def __str__(self) -> str:
        return f"{self.url}: {self.key}: {self.reason}"
