"""An image file and what its header says."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from foveal.pipeline.decoding._pixel_rule import PLAIN, Bits, PixelRule
from foveal.pipeline.decoding.headers import OTHER, Kind, turns_sideways

# dali16: DALI decodes to 16 bits, which then become levels; libjpeg: libjpeg-turbo; helper: a library in a separate process.
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
        by: The decoder.
        whole: Whether it ends as files of its kind do. Otherwise it may be truncated, or something may follow it.
        scale: The divisor of its sides when libjpeg-turbo decodes it: 1, 2, 4 or 8.
        smooth_colour: Whether libjpeg-turbo interpolates between stored colours if there are fewer than pixels, as DALI does,
            or repeats them.
        orientation: The EXIF orientation, 1 to 8, if libjpeg-turbo or a helper process decodes it; other decoders find it
            themselves.
        kind: The format.
        pixel_bytes: Bytes of a pixel while it is decoded, if that is more than the three of the result.
        depth: Bits of a sample as it is stored, as far as the header says; 8 for fewer.
        rule: How its samples become grey levels.
    """

    file: bytes
    height: int
    width: int
    by: Decodes
    whole: bool
    scale: Scale = 1
    smooth_colour: bool = True
    orientation: int = 1
    kind: Kind = OTHER
    pixel_bytes: int = 0
    depth: int = 8
    rule: PixelRule = PLAIN

    @property
    def by_dali(self) -> bool:
        """Whether DALI decodes it, in a batch; all other decoders decode an image at a time, in any thread."""
        return self.by in {"dali", "dali16"}

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the upright original."""
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
        """Pixels in memory while it is decoded: the result, and the data that it is made from."""
        pixels = -(-self.height // self.scale) * -(-self.width // self.scale)
        if self.pixel_bytes:
            levels = 4 if self.levels_bits == 16 else 1  # and the two halves that are sampled separately
            return pixels * levels + pixels * self.pixel_bytes // 3
        return pixels if self.orientation == 1 else 2 * pixels
