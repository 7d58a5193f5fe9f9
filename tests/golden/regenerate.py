"""Write the files of this folder: what the tree before its sub-packages left on users' disks.

They were written once, by commit e3d9f96, and show that later trees read them. To write them again, or those of
another commit:

    git worktree add --detach ../before e3d9f96
    cd ../before && PYTHONPATH=src python ../foveal/tests/golden/regenerate.py ../foveal/tests/golden

``written/`` holds the files as a user has them, ``expected.npz`` and ``expected.json`` what came of them then.
"""

# ruff: noqa: T201 - a script that runs in another checkout, and says what it wrote

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from foveal.pipeline import ZoomLoader
from foveal.sampler import (
    NJetSaliencyNet,
    SaliencyNet,
    SaliencySampler,
    SpectralSaliency,
    UniformSampler,
    ZoomRecord,
)
from foveal.shards import ShardWriter

SIDE = (90, 120)
ZOOMS: dict[str, dict[str, Any]] = {
    "kernel": {"max_zoom": 4.0, "temperature": 0.25, "fwhm_cells": 6.0},
    "separable": {"family": "separable", "padding": "replicate", "min_zoom": 0.5, "temperature": 0.05},
    "cdf": {"family": "cdf", "max_zoom": 3.0, "min_zoom": 0.4, "temperature": 0.05},
}


def picture(seed: int) -> np.ndarray[Any, Any]:
    """A bright disc on soft noise: its place and colour depend on the seed."""
    draw = np.random.default_rng(seed)
    height, width = SIDE
    y, x = np.mgrid[:height, :width]
    coarse = draw.integers(60, 190, (6, 8, 3), dtype=np.uint8)
    image = np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    row, col = draw.uniform(15, height - 15), draw.uniform(15, width - 15)
    image[(y - row) ** 2 + (x - col) ** 2 < 49] = draw.integers(0, 256, 3)
    return image


def networks() -> dict[str, torch.nn.Module]:
    """Return networks whose checkpoints are small enough to keep."""
    torch.manual_seed(0)
    return {
        "saliency_net": SaliencyNet((9, 12), contrast=0.05),
        "njet": NJetSaliencyNet((7, 9)),
        "spectral": SpectralSaliency((11, 13)),
    }


@torch.no_grad()
def checkpoints(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Write a checkpoint for each network and family, and weights alone; return what each zoom shows of one picture."""
    image = torch.from_numpy(picture(0))
    shown: dict[str, np.ndarray[Any, Any]] = {}
    for (name, network), (family, settings) in zip(networks().items(), ZOOMS.items(), strict=True):
        zoom = SaliencySampler((20, 28), saliency=network, lowres_size=(64, 80), **settings).eval()
        zoom.save_checkpoint(folder / f"{name}.pt")
        zoomed = zoom([image])
        shown |= {f"{name}/{part}": value.numpy() for part, value in zoomed._asdict().items()}
        record = ZoomRecord.of(zoom, zoomed.saliency[0], SIDE)
        (folder / f"{family}.zoom.json").write_text(json.dumps(record.to_json()))
        shown[f"{family}/record"] = record.grid().numpy()
    torch.save(networks()["saliency_net"].state_dict(), folder / "weights.pt")
    return shown


def shard(path: Path) -> str:
    """Write seven small samples."""
    with ShardWriter(path) as writer:
        for k in range(7):
            buffer = io.BytesIO()
            Image.fromarray(picture(k)).save(buffer, "JPEG", quality=90)
            boxes = json.dumps({"boxes": [[10 + k, 12, 40 + k, 50]]})
            writer.write(
                {"__key__": f"{k:04d}", "jpg": buffer.getvalue(), "cls": k % 3, "json": boxes.encode()}
            )
    return str(path)


def place(url: str) -> tuple[dict[str, Any], list[str]]:
    """Return a state in the middle of an epoch, and the keys that were still to come in that epoch and the next."""
    zoom = UniformSampler(8)
    with ZoomLoader(url, zoom, batch_size=2, shuffle=True, seed=5, fields=("image", "__key__")) as loader:
        loader.set_epoch(3)
        batches = iter(loader)
        next(batches)
        state = loader.state_dict()
        left = [key for _, keys in batches for key in keys]
        left += [key for _, keys in loader for key in keys]
    return state, left


def offline(url: str, out: Path) -> None:
    """Zoom the shard, as ``foveal zoom`` does."""
    settings = "--size 16 --max-zoom 4 --min-zoom 0.5 --grid separable --temperature 0.25 --boxes json:boxes"
    command = f"{sys.executable} -m foveal.tools zoom {url} --out {out} {settings}"
    if os.system(f"{command} > {os.devnull}"):
        raise SystemExit(f"failed: {command}")
    (out / "sheet.png").unlink()


def training(url: str, out: Path) -> None:
    """Train for one of two epochs, and leave the files that a killed process leaves."""
    from foveal.tools._train import train
    from foveal.tools._train_options import TrainOptions

    options = TrainOptions(size=16, epochs=1, batch_size=3, classes=3, checkpoint_steps=1, fwhm_cells=6.0)
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 3))
    train(url, out, model=model, options=options)
    for drawn in out.glob("*.png"):
        drawn.unlink()


def main() -> None:
    """Write everything to the folder that is named."""
    folder = Path(sys.argv[1])
    written = folder / "written"
    written.mkdir(parents=True)
    shown = checkpoints(written)
    url = shard(written / "samples.tar")
    state, left = place(url)
    (written / "state.json").write_text(json.dumps(state))
    offline(url, written / "zoomed")
    training(url, written / "run")
    np.savez_compressed(folder / "expected.npz", **shown)
    (folder / "expected.json").write_text(json.dumps({"keys": left}, indent=1) + "\n")
    print(f"{len(list(written.rglob('*')))} files in {written}")


if __name__ == "__main__":
    main()
