"""Encoded images to full-resolution pixels with NVIDIA DALI: the one file that knows its dynamic mode.

DALI decodes a batch at a time on its own threads (or on the GPU), asynchronously. Its batches
are taken apart here with care: the ``tensors`` of a dynamic-mode batch refer to each other in
cycles, so the pixels would live until Python's cycle collector ran. Samples taken from the
underlying tensor list do not, and are freed with the last tensor that looks at them.
"""

import contextlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import nvidia.dali.experimental.dynamic as ndd
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.dlpack import from_dlpack


class DecodeError(Exception):
    """An image that could not be decoded.

    Attributes:
        index: Which one of the images given to the decoder.
        reason: What the decoder said.
    """

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(index, reason)
        self.index = index
        self.reason = reason

    def __str__(self) -> str:
        return f"image {self.index} cannot be decoded: {self.reason}"


class Decoding:
    """A batch that is being decoded."""

    def __init__(self, decoder: "Decoder", encoded: Sequence[bytes]) -> None:
        self._encoded = encoded
        self._decoder = decoder
        self._batch = decoder._launch(encoded) if all(encoded) else None  # noqa: SLF001 - two halves of one thing

    def result(self) -> list[UInt8[Tensor, "_height _width 3"]]:
        """Wait for the pixels.

        Returns:
            An RGB image ``(height, width, 3)``, uint8, upright by its EXIF orientation, for each of
            the encoded ones, on the decoder's device. Each may be freed by itself.

        Raises:
            DecodeError: The first image that could not be decoded. The decoder stays usable.
        """
        try:
            return self._take()
        except RuntimeError as error:
            raise self._culprit(error) from error

    def drain(self) -> None:
        """Wait, and drop what comes of it: an operation in flight must not outlive its thread."""
        with contextlib.suppress(RuntimeError):
            self._take()

    def _take(self) -> list[Tensor]:
        if self._batch is None:
            raise RuntimeError("an image is empty")
        batch, self._batch = self._batch, None
        tensors = batch.evaluate()._storage  # noqa: SLF001 - see the module's docstring
        return [from_dlpack(tensors[k]) for k in range(len(tensors))]

    def _culprit(self, batch_error: RuntimeError) -> Exception:
        """Find the first bad image: DALI names a status code more often than the sample, so each is tried alone."""
        for index, encoded in enumerate(self._encoded):
            if not encoded:
                return DecodeError(index, "it is empty (0 bytes)")
            try:
                Decoding(self._decoder, [encoded])._take()  # noqa: SLF001 - another of its kind
            except RuntimeError as error:
                return DecodeError(index, _reason(error))
        return batch_error


class Decoder:
    """Decodes batches of images with DALI.

    A context manager that is entered and used in one thread: DALI's evaluation context belongs to it.

    Args:
        device: Where the pixels shall be. On a CUDA device nvJPEG decodes; on the CPU libjpeg-turbo
            and its kin.
        num_threads: Threads that decode. ``None``: see :func:`default_num_threads`.

    Example:
        >>> with Decoder() as decoder:
        ...     ahead = decoder.start(next_batch)  # decodes while the last batch is worked on
        ...     images = ahead.result()
    """

    def __init__(self, device: torch.device | str = "cpu", *, num_threads: int | None = None) -> None:
        self.device = torch.device(device)
        self.num_threads = default_num_threads() if num_threads is None else num_threads
        self._context: Any = None

    def __enter__(self) -> Self:
        device_id = (self.device.index or 0) if self.device.type == "cuda" else None
        context: Any = ndd.EvalContext
        self._context = context(num_threads=self.num_threads, device_id=device_id)
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context, self._context = self._context, None
        with contextlib.suppress(RuntimeError):  # what was still in flight and failed is nobody's any more
            context.__exit__(kind, error, trace)

    def start(self, encoded: Sequence[bytes]) -> Decoding:
        """Begin to decode a batch, without waiting for it.

        Args:
            encoded: Whole files (JPEG, PNG, WebP, TIFF, BMP, JPEG 2000, PNM), at least one.
        """
        return Decoding(self, encoded)

    def _launch(self, encoded: Sequence[bytes]) -> Any:
        if self._context is None:
            raise ValueError(
                "decoder must be entered before use, got a closed one – write `with Decoder() as decoder:`"
            )
        # A copy of the files, a thousandth of the work of decoding them: on memory of others DALI would run
        # at once and keep the caller waiting; on its own it runs in the background.
        files = ndd.batch([np.frombuffer(file, np.uint8) for file in encoded])
        return ndd.decoders.image(files, device="gpu" if self.device.type == "cuda" else "cpu")


def _reason(error: BaseException) -> str:
    """Return DALI's own words in one line; asynchronous errors carry them as their cause."""
    words = " ".join(str(error.__cause__ or error).split())
    return f"DALI says {words.rstrip(' :')!r}"


def default_num_threads() -> int:
    """Return the processors that this process may use, shared with the other ranks of this machine."""
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // ranks_here)


def decode(
    encoded: Sequence[bytes], *, device: torch.device | str = "cpu", num_threads: int | None = None
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Decode images as the loader does, all at once.

    Args:
        encoded: Whole image files.
        device: Where the pixels shall be.
        num_threads: Threads that decode; ``None`` for the processors that this process may use.

    Returns:
        An RGB image ``(height, width, 3)``, uint8, upright by its EXIF orientation, for each file.

    Raises:
        DecodeError: The first image that could not be decoded.
    """
    if not encoded:
        return []
    with Decoder(device, num_threads=num_threads) as decoder:
        return decoder.start(encoded).result()
