"""An image file and what its header says."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from foveal.pipeline.decode._pixel_rule import PLAIN, Bits, PixelRule
from foveal.pipeline.decode.headers import OTHER, Kind, turns_sideways

# dali; dali16: DALI, into 16 bits, that become levels here; libjpeg: libjpeg-turbo; helper: a library in a process of its own.
Decodes = Literal["dali", "dali16", "pillow", "libjpeg", "numpy", "helper"]

Scale = Literal[1, 2, 4, 8]
"""What libjpeg-turbo divides an image's sides by while it decodes."""


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image file and what its header says.

    Attributes:
        file: The whole file.
        height: Pixels, before EXIF orientation.
        width: Pixels, before EXIF orientation.
        by: Who decodes it.
        whole: Whether it ends as files of its kind do. One that does not may have been cut, or something follows it.
        scale: What its sides are divided by as it is decoded, by libjpeg-turbo: 1, 2, 4 or 8.
        orientation: As EXIF counts it, 1 to 8, where libjpeg-turbo or a helper process decodes it; others know by
            themselves.
        kind: The format.
        pixel_bytes: Of a pixel while it is decoded, where that is more than the three that come out.
        depth: Bits of a sample as it is stored, as far as the header says; 8 for fewer.
        rule: How its samples become grey levels.
    """

    file: bytes
    height: int
    width: int
    by: Decodes
    whole: bool
    scale: Scale = 1
    orientation: int = 1
    kind: Kind = OTHER
    pixel_bytes: int = 0
    depth: int = 8
    rule: PixelRule = PLAIN

    @property
    def by_dali(self) -> bool:
        """Whether DALI decodes it, in a batch; others decode an image at a time, in any thread."""
        return self.by in {"dali", "dali16"}

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the original as its orientation would have it seen."""
        return (self.width, self.height) if turns_sideways(self.orientation) else (self.height, self.width)

    def original_size(self, pixels: Tensor) -> tuple[int, int]:
        """Height and width of the upright original, of which the decoded pixels may be a smaller copy."""
        return self.upright_size if self.scale > 1 else (pixels.shape[0], pixels.shape[1])

    @property
    def levels_bits(self) -> Bits:
        """Bits of the levels that it is decoded to."""
        return self.rule.bits if self.depth > 8 else 8

    @property
    def decoded_pixels(self) -> int:
        """Pixels that are in memory while it is decoded: those that come out, and what they are made from."""
        pixels = -(-self.height // self.scale) * -(-self.width // self.scale)
        if self.pixel_bytes:
            levels = 4 if self.levels_bits == 16 else 1  # and the two halves that are sampled
            return pixels * levels + pixels * self.pixel_bytes // 3
        return pixels if self.orientation == 1 else 2 * pixels
