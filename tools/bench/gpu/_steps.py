"""The checks on a device that use the loader or its decoder: pixels, speed of decoding, ten steps of training, and memory."""

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from foveal.pipeline import ZoomLoader
from foveal.shards import Shards
from foveal.tools.bench.ceilings import decoded_batches, exhaust_on
from foveal.tools.bench.gpu._jpeg_engine import JpegEngine
from foveal.tools.bench.timing import peak_memory_mb, restart_peak_memory
from foveal.tools.bench.way import Way
from foveal.tools.training.small_convnet import SmallConvNet

GREY_LEVELS = 3.0
"""Largest allowed difference between nvJPEG's and libjpeg-turbo's pixels after the zoom, on average over an image, of 255."""
STEPS = 10


def zoom_on(urls: list[str], device: torch.device, *, size: int, images: int) -> dict[str, Any]:
    """Decode with DALI and zoom, on the device and on the CPU; return the mean difference in grey levels.

    Raises:
        ValueError: Keys differ, or an image differs by more than ``GREY_LEVELS``.
    """
    ours, expected = (_first(urls, place, size, images) for place in (device, torch.device("cpu")))
    if ours[1] != expected[1]:
        raise ValueError(f"keys must be {expected[1]!r}, got {ours[1]!r}.")
    off = 255 * (ours[0] - expected[0]).abs().mean(dim=(1, 2, 3))
    if not float(off.max()) <= GREY_LEVELS:
        raise ValueError(f"pixels must agree to {GREY_LEVELS} grey levels, got {off.tolist()!r}.")
    return {"images": len(off), "grey_levels_mean": float(off.mean()), "grey_levels_worst": float(off.max())}


def _first(urls: list[str], device: torch.device, size: int, images: int) -> tuple[Tensor, list[str]]:
    zoom = _way(device).zoom(size)
    loader = ZoomLoader(
        urls, zoom, batch_size=images, fields=("image", "__key__"), decode="dali", device=device
    )
    with closing(loader):
        pixels, keys = next(iter(loader))
        return pixels.cpu(), keys


def decode_on(
    urls: list[str], device: torch.device, sizes: Sequence[int], *, seconds: float
) -> dict[str, Any]:
    """Return how many images a second DALI decodes, by the number of images that it gets at a time.

    And how busy the device's JPEG engine was at most: 0 if nvJPEG works without it, None if that is not known.

    Args:
        urls: Shards.
        device: The device.
        sizes: The numbers of images at a time.
        seconds: Time for each, beyond which no further epoch begins. The first epoch only counts if it alone takes longer.
    """
    shards = Shards(urls)
    with JpegEngine(device) as engine:
        rates = {size: _decode_rate(shards, device, size, seconds) for size in dict.fromkeys(sizes)}
    return {
        "images_per_s": {f"{size} at a time": rate for size, rate in rates.items()},
        "best": max(rates.values()),
        "jpeg_engine_busy_percent": engine.busiest,
    }


def _decode_rate(shards: Shards, device: torch.device, size: int, seconds: float) -> float:
    spent = first = _decode_seconds(shards, device, size)
    others: list[float] = []
    while spent <= seconds:
        others.append(_decode_seconds(shards, device, size))
        spent += others[-1]
    return len(shards) / (sum(others) / len(others) if others else first)


def _decode_seconds(shards: Shards, device: torch.device, size: int) -> float:
    start = time.perf_counter()
    exhaust_on(str(device), lambda: decoded_batches(shards, size, str(device)))
    return time.perf_counter() - start


def train_on(urls: list[str], device: torch.device, *, size: int, batch_size: int) -> dict[str, Any]:
    """Train a small network and the zoom for ten steps; return the losses, and by how much the zoom changed.

    Raises:
        ValueError: A loss is not finite, or the zoom did not change.
    """
    zoom, model = _way(device).trainable_zoom(size), SmallConvNet(10).to(device)
    before = [parameter.detach().clone() for parameter in zoom.parameters()]
    optimizer = torch.optim.AdamW([*model.parameters(), *zoom.parameters()], lr=1e-3)
    losses: list[float] = []
    with closing(
        ZoomLoader(urls, zoom, batch_size=batch_size, fields=("image", "__index__"), device=device)
    ) as loader:
        while len(losses) < STEPS:
            for images, numbers in loader:
                loss = cross_entropy(model(images), numbers.to(device) % 10)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                losses.append(loss.item())
                if len(losses) == STEPS:
                    break
    changed = max(float((a - b).detach().abs().max()) for a, b in zip(zoom.parameters(), before, strict=True))
    finite = all(torch.tensor(losses).isfinite().tolist())
    if not finite or not changed:
        raise ValueError(f"losses must be finite and the zoom must change, got {losses!r} and {changed!r}.")
    return {"losses": losses, "largest_change": changed}


def memory_on(urls: list[str], device: torch.device, *, size: int, batch_size: int) -> dict[str, Any]:
    """Return the peak memory of an epoch in 2^20 bytes: of this process, and on a GPU that of torch and of all processes."""
    restart_peak_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        free_before, _ = torch.cuda.mem_get_info(device)
    zoom = _way(device).zoom(size)
    least_free = None
    with closing(ZoomLoader(urls, zoom, batch_size=batch_size, fields=("image",), device=device)) as loader:
        for _ in loader:
            if device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(device)
                least_free = free if least_free is None else min(free, least_free)
    found = {"host_peak_mb": peak_memory_mb()}
    if least_free is not None:
        found["torch_peak_mb"] = torch.cuda.max_memory_allocated(device) >> 20
        found["device_more_than_before_mb"] = (free_before - least_free) >> 20
    return found


def _way(device: torch.device) -> Way:
    return Way("auto", 4.0, str(device))
