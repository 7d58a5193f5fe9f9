"""A batch of images on its way from files to pixels.

Each image goes to the decoder that its header asks for. If one of a batch fails, the others are decoded again without it, and
Pillow is the last resort.
"""

import contextlib
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from jaxtyping import UInt8
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._singly import by_pillow, decode_singly, leveled
from foveal.pipeline.flow import to_device

if TYPE_CHECKING:
    from foveal.pipeline.decoding.decoders._decoder import Decoder


class Decoding:
    """A batch that is being decoded."""

    def __init__(self, decoder: "Decoder", images: Sequence[EncodedImage]) -> None:
        self._decoder = decoder
        self._images = images
        self._singly = {
            k: decoder.submit(decode_singly, image, decoder.buffers)
            for k, image in enumerate(images)
            if not image.by_dali
        }
        # If one image of a batch fails, DALI delivers none of it, so images that may fail are decoded alone; and all
        # images of a batch have one type.
        kinds = itertools.product(("dali", "dali16"), (True, False))
        parts = [[k for k, image in enumerate(images) if (image.by, image.whole) == kind] for kind in kinds]
        self._flights = [(part, self._launch(part)) for part in parts if part]
        self.by_pillow = 0

    def result(self) -> list[UInt8[Tensor, "_height _width 3"] | DecodeError]:
        """Wait for the pixels.

        Returns:
            For each image an RGB image ``(height, width, 3)``, uint8, upright by its EXIF orientation, on the
            decoder's device, or its error. If libjpeg-turbo decoded it, its sides are those of the original divided by
            its ``scale``. Each image can be freed alone. ``by_pillow`` then says how
            many of them DALI refused and Pillow decoded.
        """
        decoded = self._from_threads()
        while self._flights:
            part, batch = self._flights.pop(0)
            try:
                pixels = _pixels(batch)
            except Exception as error:  # noqa: BLE001 - of any kind: a broken file may ask for all memory there is
                self._flights += [(rest, self._launch(rest)) for rest in _without_culprit(part, error)]
            else:
                for k in part:
                    decoded[k] = self._leveled(k, pixels.pop(0))
        return [
            decoded[k] if k in decoded else self._last_resort(image) for k, image in enumerate(self._images)
        ]

    def pixels(self) -> list[UInt8[Tensor, "_height _width 3"]]:
        """Return the same if all images are good.

        Raises:
            DecodeError: The error of the first bad image. The decoder stays usable.
        """
        images = self.result()
        for index, image in enumerate(images):
            if isinstance(image, DecodeError):
                raise image.at(index)
        return cast("list[Tensor]", images)

    def drain(self) -> None:
        """Wait, and discard the result: a running operation must not outlive its thread."""
        singly, self._singly = list(self._singly.values()), {}
        for late in [one for one in singly if not one.cancel()]:
            late.exception()  # waits
        while self._flights:
            with contextlib.suppress(Exception):
                self._flights.pop()[1].evaluate()

    def _from_threads(self) -> dict[int, Tensor | DecodeError]:
        """Wait for the decoder's threads; JPEGs that libjpeg-turbo could not decode are left to DALI."""
        decoded: dict[int, Tensor | DecodeError] = {}
        refused: list[int] = []
        while self._singly:
            k, one = self._singly.popitem()
            by = self._images[k].by
            try:
                decoded[k] = to_device(one.result(), self._decoder.device)
                self.by_pillow += by == "pillow"
            except DecodeError as error:
                decoded[k] = error
            except Exception as error:  # noqa: BLE001 - as for DALI
                if by == "libjpeg":
                    refused.append(k)
                else:
                    decoded[k] = DecodeError(f"is broken: {type(error).__name__}: {error}")
        if refused:
            self._flights.append((refused, self._launch(refused)))
        return decoded

    def _launch(self, part: list[int]) -> Any:
        images = [self._images[k] for k in part]
        return self._decoder.launch([image.file for image in images], deep=images[0].by == "dali16")

    def _leveled(self, k: int, pixels: Tensor) -> Tensor | DecodeError:
        try:
            return to_device(leveled(self._images[k], pixels), self._decoder.device)
        except DecodeError as error:
            return error

    def _last_resort(self, image: EncodedImage) -> Tensor | DecodeError:
        if not image.whole:
            return DecodeError(f"is cut: after {len(image.file)} bytes there is no end mark")
        try:
            pixels = by_pillow(image)
        except DecodeError as error:
            return error
        self.by_pillow += 1
        return to_device(pixels, self._decoder.device)


def _pixels(batch: Any) -> list[Tensor]:
    tensors = batch.evaluate()._storage  # noqa: SLF001 - see `_decoder.py`
    return [from_dlpack(tensors[k]) for k in range(len(tensors))]


def _without_culprit(part: list[int], error: Exception) -> list[list[int]]:
    """Return the parts of a failed batch to try again: all images except the one that DALI names, or else each half."""
    named = re.search(r"sample #(\d+)", str(error.__cause__ or error))
    if named:
        culprit = int(named[1])
        parts = [part[:culprit] + part[culprit + 1 :]]
    else:
        parts = [part[: len(part) // 2], part[len(part) // 2 :]] if len(part) > 1 else []
    return [rest for rest in parts if rest]
