"""Encoded images to full-resolution pixels: the one file that knows DALI's dynamic mode.

DALI decodes a batch at a time on its own threads (or on the GPU), asynchronously. The ``tensors`` of a dynamic-mode batch
refer to each other in cycles, so their pixels would stay in memory until Python's cycle collector runs. Therefore samples
are taken from the underlying tensor list; they are freed with the last tensor that refers to them.

Images that DALI does not decode are decoded by the decoder's own threads, an image at a time.
"""

import contextlib
import itertools
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

import numpy as np
import nvidia.dali.experimental.dynamic as ndd
import torch
from jaxtyping import UInt8
from nvidia.dali import __version__ as dali_version
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from foveal._choices import DecodeMode
from foveal.pipeline.decoding._decode_error import DecodeError
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._peek import peek
from foveal.pipeline.decoding._pixel_rule import PLAIN, PixelRule
from foveal.pipeline.decoding._singly import by_pillow, decode_singly, leveled
from foveal.pipeline.flow import IMAGE_BYTES, Buffers, existing_device, to_device
from foveal.sampler.frames import whole
from foveal.sampler.threads import let_forks_wait, spread_over, submit, use_one_torch_thread

P = ParamSpec("P")
T = TypeVar("T")


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
        kinds = itertools.product(_DALI_TYPES, (True, False))
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
        return self._decoder._launch([image.file for image in images], _DALI_TYPES.get(images[0].by))  # noqa: SLF001 - two halves of one thing

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


_FILE = (bytes, bytearray, memoryview)
_DALI_TYPES = {"dali": None, "dali16": ndd.uint16}


def _pixels(batch: Any) -> list[Tensor]:
    tensors = batch.evaluate()._storage  # noqa: SLF001 - see the module's docstring
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


class Decoder:
    """Decodes batches of images with DALI.

    A context manager that must be entered and used in one thread, because DALI's evaluation context belongs to a thread.

    Args:
        device: The device for the pixels. On a CUDA device nvJPEG decodes; on the CPU libjpeg-turbo and similar libraries.
        num_threads: Threads that decode. ``None``: see :func:`default_num_threads`.
        stream: The CUDA stream that decodes; by default DALI chooses one.
        buffers: Memory for images that libjpeg-turbo decodes, which may outlive this decoder; by default the decoder's own.

    Raises:
        TypeError: ``num_threads`` is no whole number.
        ValueError: There is no such device, or ``num_threads`` is below 1.

    Example:
        >>> with Decoder() as decoder:
        ...     ahead = decoder.start([peek(file) for file in files])  # decodes while the last batch is worked on
        ...     images = ahead.result()
    """

    def __init__(
        self,
        device: torch.device | str = "cpu",
        *,
        num_threads: int | None = None,
        stream: torch.cuda.Stream | None = None,
        buffers: Buffers | None = None,
    ) -> None:
        self.device = existing_device(device)
        self.num_threads = default_num_threads() if num_threads is None else whole(num_threads, "num_threads")
        self._contexts: deque[Any] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._stream = stream
        self._entered: tuple[Any, ...] = ()
        self.buffers = buffers or Buffers(IMAGE_BYTES * max(5, self.num_threads))

    def __enter__(self) -> Self:
        on_gpu = self.device.type == "cuda"
        context: Any = ndd.EvalContext
        # DALI begins a batch only when the previous one has ended, so most threads are idle while its last image is
        # decoded. Therefore batches on the CPU alternate between two contexts, each with threads for all processors.
        for _ in range(1 if on_gpu or self.num_threads == 1 else 2):
            own = {"device_id": self.device.index or 0, "cuda_stream": self._stream} if on_gpu else {}
            self._contexts.append(context(num_threads=self.num_threads, **own))
            self._contexts[-1].__enter__()
        self._entered = tuple(self._contexts)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        self._contexts.clear()
        for context in reversed(self._entered):
            with contextlib.suppress(
                Exception
            ):  # results of operations that failed in the meantime are no longer needed
                context.__exit__(kind, error, trace)
        self._entered = ()

    def start(self, images: Sequence[EncodedImage]) -> Decoding:
        """Begin to decode a batch without waiting for it.

        Args:
            images: Files that :func:`peek` knows.
        """
        return Decoding(self, images)

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in one of the threads that decode images one by one. torch's operators stay in that thread."""
        self._check_open()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self.num_threads, thread_name_prefix="foveal-image", initializer=_stay_in_this_thread
            )
        return submit(self._pool, work, *args, **kwargs)

    def decode_here(self, images: Sequence[EncodedImage]) -> list[UInt8[Tensor, "_height _width 3"]] | None:
        """Decode images that are not left to DALI, in the calling thread and on the CPU.

        Returns:
            None if one cannot be decoded. :meth:`start` then says which and why, and tries other decoders as well.
        """
        try:
            return [decode_singly(image, self.buffers) for image in images]
        except Exception:  # noqa: BLE001 - of any kind: a broken file may ask for all memory there is
            return None

    def _check_open(self) -> None:
        if not self._contexts:
            raise ValueError(
                "decoder must be entered before use, got a closed one – write `with Decoder() as decoder:`"
            )

    def _launch(self, files: Sequence[bytes], dtype: Any = None) -> Any:
        self._check_open()
        # The files are copied, which takes a thousandth of the time of decoding: DALI only runs in the background on
        # memory of its own, and would otherwise block the caller.
        self._contexts.rotate(1)
        with self._contexts[0]:
            copy = ndd.batch([np.frombuffer(file, np.uint8) for file in files])
            deep = {} if dtype is None else {"dtype": dtype}
            return ndd.decoders.image(copy, device="gpu" if self.device.type == "cuda" else "cpu", **deep)


def _stay_in_this_thread() -> None:
    """Each processor is already busy with a thread like this one."""
    let_forks_wait()
    use_one_torch_thread()
    spread_over(1)


def describe_decoder(device_type: str, mode: DecodeMode) -> str:
    """Return the decoders that a mode uses on a device, with their versions: another version may round differently."""
    by_libjpeg = mode == "auto" and device_type == "cpu"
    jpegs = f", JPEGs by simplejpeg {metadata.version('simplejpeg')}" if by_libjpeg else ""
    return f"DALI {dali_version} on {device_type}{jpegs}"


def default_num_threads() -> int:
    """Return the number of processors that this process may use, divided by the number of ranks on this machine."""
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // ranks_here)


def decode(
    encoded: Sequence[bytes | bytearray | memoryview],
    *,
    device: torch.device | str = "cpu",
    num_threads: int | None = None,
    rule: PixelRule = PLAIN,
) -> list[UInt8[Tensor, "_height _width 3"]]:
    """Decode images at their full size, as a loader with ``decode="dali"`` does, all at once.

    A zoom of these images has the pixels of that loader. With ``decode="auto"``, the loader's default, some JPEGs are decoded
    for their zoom, so this differs a little; ``ZoomCollate(zoom)([(file,)])`` decodes a file as that loader does.

    Args:
        encoded: A list of whole image files.
        device: Where the pixels shall be.
        num_threads: Threads that decode; ``None`` for the processors that this process may use.
        rule: How samples become grey levels: window, bands, colour.

    Returns:
        An RGB image ``(height, width, 3)``, uint8, upright by its EXIF orientation, for each file.

    Raises:
        DecodeError: The first image that could not be decoded.
        TypeError: It is a file and no list of files, or one is not the bytes of a file; or ``num_threads`` is no whole number.
        ValueError: There is no such device, or ``num_threads`` is below 1.
    """
    if isinstance(encoded, _FILE):
        raise TypeError(
            f"encoded must be a list of image files, got one file as {type(encoded).__name__} – write decode([file])."
        )
    decoder = Decoder(device, num_threads=num_threads)
    if not encoded:
        return []
    with decoder:
        return decoder.start([_peeked(file, index, rule) for index, file in enumerate(encoded)]).pixels()


def _peeked(file: bytes | bytearray | memoryview, index: int, rule: PixelRule) -> EncodedImage:
    if not isinstance(file, _FILE):
        raise TypeError(
            f"encoded[{index}] must be the bytes of an image file, got {type(file).__name__} – read the file first."
        )
    try:
        return peek(bytes(file), rule=rule)
    except DecodeError as error:
        raise error.at(index) from error
