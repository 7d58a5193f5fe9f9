"""Encoded images to full-resolution pixels: the one file that knows DALI's dynamic mode.

DALI decodes a batch at a time on its own threads (or on the GPU), asynchronously. The ``tensors`` of a dynamic-mode batch
refer to each other in cycles, so their pixels would stay in memory until Python's cycle collector runs. Therefore samples
are taken from the underlying tensor list; they are freed with the last tensor that refers to them.

Images that DALI does not decode are decoded by the decoder's own threads, an image at a time.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

import numpy as np
import nvidia.dali.experimental.dynamic as ndd
import torch
from jaxtyping import UInt8
from nvidia.dali import __version__ as dali_version
from torch import Tensor

from foveal._choices import DecodeMode
from foveal._submit import submit
from foveal.pipeline.decoding._encoded_image import EncodedImage
from foveal.pipeline.decoding._singly import decode_singly
from foveal.pipeline.decoding.decoders._decoding import Decoding
from foveal.pipeline.decoding.decoders._default_num_threads import default_num_threads
from foveal.pipeline.flow import IMAGE_BYTES, Buffers, existing_device
from foveal.sampler.frames import whole
from foveal.sampler.threads import let_forks_wait, spread_over, use_one_torch_thread

P = ParamSpec("P")
T = TypeVar("T")


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
            # Results of operations that failed in the meantime are no longer needed.
            with contextlib.suppress(Exception):
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

    def launch(self, files: Sequence[bytes], *, deep: bool) -> Any:
        """Begin to decode files by DALI, to 16 bits if they are ``deep``; return its batch."""
        self._check_open()
        # The files are copied, which takes a thousandth of the time of decoding: DALI only runs in the background on
        # memory of its own, and would otherwise block the caller.
        self._contexts.rotate(1)
        with self._contexts[0]:
            copy = ndd.batch([np.frombuffer(file, np.uint8) for file in files])
            form: dict[str, Any] = {"dtype": ndd.uint16} if deep else {}
            return ndd.decoders.image(copy, device="gpu" if self.device.type == "cuda" else "cpu", **form)


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
