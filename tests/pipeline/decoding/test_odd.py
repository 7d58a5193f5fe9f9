"""Hundreds of corrupt, rare or hostile files among good photographs: the loader delivers what can be read, and goes on."""

import io
import json
import os
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
from PIL import Image

from foveal.shards import Shards
from tests.time_limits import HANGS_AFTER_S

KINDS = "bin;bmp;gif;jpeg;jpg;png;tif;tiff;webp"
MAX_PIXELS = 178_956_970
EPOCH = """
    import json, re, sys, warnings
    from foveal.pipeline import ZoomLoader
    from foveal.sampler import UniformSampler
    from foveal.shards import ShardError, ShardWarning

    warnings.simplefilter("ignore", ShardWarning)
    urls, on_bad, quarantine = json.loads(sys.argv[1])
    delivered, raised = [], 0
    fields = (%r, "__key__", "__url__", "__valid__")
    loader = ZoomLoader(urls, UniformSampler(32), batch_size=8, fields=fields, shuffle=True, seed=5,
                        on_bad=on_bad, max_bad_fraction=1.0, quarantine=quarantine)
    with loader:
        while loader.epoch == 0:
            try:
                for images, keys, found, valid in loader:
                    assert len(images) == len(keys)
                    delivered += [[u, k] for u, k, v in zip(found, keys, valid.tolist()) if v]
            except ShardError:
                raised += 1
                loader.load_state_dict(loader.state_dict())
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
    bad = [list(sample) for sample in loader.bad_samples]
    print(json.dumps({"delivered": delivered, "bad": bad, "raised": raised, "peak_mb": peak,
                      "pillow": loader.stats.pillow}))
"""


@pytest.fixture(scope="module")
def odd_urls(data_dir) -> list[str]:
    """Return shards of odd files and of photographs of up to 24 megapixels."""
    return [str(data_dir / "odd" / "odd-000000.tar"), *sorted(map(str, (data_dir / "photos").glob("*.tar")))]


def pillow_reads(file: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(file)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return False
                image.load()
        except Exception:  # noqa: BLE001 - whatever it runs into
            return False
    return True


def dali_reads(file: bytes) -> bool:
    """Return whether DALI by itself decodes a file, independently of the loader."""
    import nvidia.dali.experimental.dynamic as ndd

    try:
        ndd.decoders.image(np.frombuffer(file, np.uint8), device="cpu").evaluate()
    except Exception:  # noqa: BLE001 - likewise
        return False
    return True


@pytest.mark.parametrize(
    "on_bad", ["drop", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("substitute", "raise"))]
)
def test_an_epoch_of_odd_files(odd_urls, tmp_path, on_bad):
    """The epoch ends; every file that DALI or Pillow decodes is delivered once, every other is reported with its reason."""
    quarantine = str(tmp_path / "bad.jsonl") if on_bad == "raise" else None
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EPOCH % KINDS), json.dumps([odd_urls, on_bad, quarantine])],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_AFTER_S,
        env=os.environ
        | {"MALLOC_ARENA_MAX": "2"},  # freed memory that glibc keeps for each thread is not ours to count
    )
    found = json.loads(run.stdout)
    delivered = {tuple(sample) for sample in found["delivered"]}
    bad = {(url, key): reason for url, key, reason, *_ in found["bad"]}

    assert len(delivered) == len(found["delivered"])
    assert all(reason.startswith("image ") for reason in bad.values())
    # Those that were found ahead of the one that was raised are on record, and not raised any more.
    assert (0 < found["raised"] <= len(bad)) if on_bad == "raise" else found["raised"] == 0
    with Shards(odd_urls) as shards:
        for sample in shards:
            place, file = (sample.url, sample.key), next(iter(sample.members.values()))
            assert (place in delivered) != (place in bad), place
            if place in bad and "max_pixels" not in bad[place]:
                assert not pillow_reads(file), bad[place]
                assert not file or not dali_reads(file), bad[place]
    assert found["peak_mb"] < 2048
    # What is left are single lines of libpng and libjpeg themselves, again where decoding begins again: each thread has eight
    # images ahead.
    assert len(run.stderr.splitlines()) < len(bad) + 4 * found["raised"]
